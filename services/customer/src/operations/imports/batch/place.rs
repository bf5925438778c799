//! Where the rows of a batch belong: to nobody yet, to an earlier row, or to a customer who is there already.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use revisit_core::{Failure, id::CustomerId};
use revisit_permission::{Action, Decided, Layer, Scope, Veiled};

use super::{Candidate, Context, Outcome};
use crate::{
    domain::{
        Error, contact,
        customer::Customer,
        import::RowDraft,
        matching::{self, Key, KeyKind},
        timeline::{Entry, EntryKind},
    },
    operations::{
        allowed,
        customers::{self, require_draft_writable},
        entries, require_write,
    },
    store::{
        self,
        imports::{Row, RowResult},
        save::Change,
    },
};

/// Where things are while a batch is placed: in the database, or in an earlier row.
struct Places {
    /// Who has which key.
    holders: HashMap<Key, Vec<CustomerId>>,
    /// Who has which external id.
    externals: HashMap<String, CustomerId>,
    /// The change of this batch that makes or merges into a customer.
    touched: BTreeMap<CustomerId, usize>,
}

impl Places {
    /// Remembers what a customer of this batch has now.
    fn keep(&mut self, customer: &Customer, place: usize) {
        for key in customer.keys() {
            let held = self.holders.entry(key).or_default();
            if !held.contains(&customer.id) {
                held.push(customer.id);
            }
        }
        if let Some(external) = &customer.external_id {
            self.externals.insert(external.clone(), customer.id);
        }
        self.touched.insert(customer.id, place);
    }
}

impl Context<'_> {
    /// Decides for each candidate whether it is new, an earlier row's, or somebody who is there already.
    pub(super) async fn place(
        &self,
        candidates: Vec<Candidate>,
        scope: &Scope,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        let (mut places, known) = self.look_up(&candidates, scope).await?;
        for candidate in candidates {
            if self.allowance.is_some_and(|left| outcome.foreign.len() >= left.of_hour) {
                // Before it is known whether the row is somebody: the stop would else be an answer more.
                outcome.cut_at = Some(candidate.number);
                return Ok(());
            }
            let held = candidate
                .keys
                .iter()
                .flat_map(|key| places.holders.get(key).into_iter().flatten().map(|customer| (*customer, key.kind)));
            let held: Vec<(CustomerId, KeyKind)> = held.collect();
            let found = matching::matches(held.iter().copied());
            let found = found.into_iter().find_map(|(id, _)| known.get(&id).filter(|known| known.deleted_at.is_none()));
            // What others have is left out of a customer who is there: that it is missing tells of them.
            for third in self.hidden_beside(found, &held, &known)? {
                if !self.tells_of(third, candidate.number, outcome) {
                    return Ok(());
                }
            }
            match found {
                Some(existing) if places.touched.contains_key(&existing.id) => {
                    self.join(candidate, places.touched[&existing.id], outcome, &mut places)?;
                }
                Some(existing) if allowed(self.who.decide(Action::CustomerView, &existing.row()))?.is_none() => {
                    if !self.tells_of(existing, candidate.number, outcome) {
                        return Ok(());
                    }
                    outcome.rows.push(result(candidate.number, RowResult::Duplicate, None, None));
                }
                Some(existing) => self.merge(candidate, existing, outcome, &mut places)?,
                None => {
                    let external = candidate.customer.external_id.as_ref();
                    let holder = external.and_then(|external| known.get(places.externals.get(external)?));
                    if let Some(holder) = holder
                        && allowed(self.who.decide(Action::CustomerView, &holder.row()))?.is_none()
                        && !self.tells_of(holder, candidate.number, outcome)
                    {
                        return Ok(());
                    }
                    self.create(candidate, outcome, &mut places, &known)?;
                }
            }
        }
        Ok(())
    }

    /// Counts a row that tells of a customer of others; false when the hour or the file has no answer left, which ends the
    /// batch before this row. Both stops tell that the row had one more to tell of, and are paid for: the file's by the
    /// one that is too many, the hour's by what the row has taken of it before. Were that given back, a file could be
    /// sent again and again until its rows have fewer.
    fn tells_of(&self, hidden: &Customer, number: i64, outcome: &mut Outcome) -> bool {
        let told = outcome.foreign.len();
        if self.allowance.is_some_and(|left| told >= left.of_hour) {
            outcome.cut_at = Some(number);
            return false;
        }
        let is_over = self.allowance.is_some_and(|left| told >= left.of_file);
        outcome.foreign.push(hidden.id);
        outcome.cut_at = is_over.then_some(number);
        !is_over
    }

    /// Customers of others who have a strong key of a row that means a customer whom the importer sees.
    fn hidden_beside<'a>(
        &self,
        found: Option<&Customer>,
        held: &[(CustomerId, KeyKind)],
        known: &'a BTreeMap<CustomerId, Customer>,
    ) -> Result<Vec<&'a Customer>, Error> {
        let Some(found) = found.filter(|_| held.len() > 1) else { return Ok(Vec::new()) };
        if allowed(self.who.decide(Action::CustomerView, &found.row()))?.is_none() {
            return Ok(Vec::new());
        }
        let others: BTreeSet<CustomerId> =
            held.iter().filter(|(id, kind)| kind.is_strong() && *id != found.id).map(|(id, _)| *id).collect();
        let mut hidden = Vec::new();
        for other in others.iter().filter_map(|id| known.get(id)).filter(|other| other.deleted_at.is_none()) {
            if allowed(self.who.decide(Action::CustomerView, &other.row()))?.is_none() {
                hidden.push(other);
            }
        }
        Ok(hidden)
    }

    /// Who has the keys and external ids of these rows.
    async fn look_up(
        &self,
        candidates: &[Candidate],
        scope: &Scope,
    ) -> Result<(Places, BTreeMap<CustomerId, Customer>), Error> {
        let keys: BTreeSet<Key> = candidates.iter().flat_map(|candidate| candidate.keys.iter().cloned()).collect();
        let externals: Vec<String> =
            candidates.iter().filter_map(|candidate| candidate.customer.external_id.clone()).collect();
        let (app, tenant, worker) = (self.app, self.job.tenant, &self.app.workers.import);
        let read = app.store.database.read(scope, async |tx| {
            tx.plan_anew().await?;
            store::keys::matchable(tx, &app.store, scope, tenant, &keys).await
        });
        let mut holders: HashMap<Key, Vec<CustomerId>> = HashMap::new();
        for (customer, key) in read.await? {
            holders.entry(key).or_default().push(customer);
        }
        let known: BTreeSet<CustomerId> = holders.values().flatten().copied().collect();
        let known: Vec<CustomerId> = known.into_iter().collect();
        let read = app.store.database.read(worker, async |tx| {
            tx.plan_anew().await?;
            let mut customers = Vec::new();
            for ids in known.chunks(1_000) {
                customers.extend(store::load::for_worker_sealed(tx, &app.store, worker, tenant, ids).await?);
            }
            let externals = store::load::external_ids(tx, worker, tenant, &externals).await?;
            let holders: Vec<CustomerId> = externals.values().filter(|id| !known.contains(id)).copied().collect();
            customers.extend(store::load::for_worker(tx, worker, tenant, &holders).await?);
            Ok::<_, Error>((customers, externals))
        });
        let (known, externals) = read.await?;
        let known = known.into_iter().map(|customer| (customer.id, customer)).collect();
        Ok((Places { holders, externals, touched: BTreeMap::new() }, known))
    }

    fn create(
        &self,
        candidate: Candidate,
        outcome: &mut Outcome,
        places: &mut Places,
        known: &BTreeMap<CustomerId, Customer>,
    ) -> Result<(), Error> {
        // Who was made by an earlier row of this batch is not among the known ones.
        let held = candidate.keys.iter().flat_map(|key| {
            let of_batch = places.holders.get(key).into_iter().flatten().filter(|id| !known.contains_key(*id));
            of_batch.map(|customer| (*customer, key.kind))
        });
        let earlier = matching::matches(held.collect::<Vec<_>>())
            .into_iter()
            .find_map(|(id, _)| places.touched.get(&id).copied());
        if let Some(place) = earlier {
            return self.join(candidate, place, outcome, places);
        }
        let mut customer = candidate.customer;
        if customer.external_id.as_ref().is_some_and(|external| places.externals.contains_key(external)) {
            let violation = ("external_id".to_owned(), "is another customer's".to_owned());
            outcome.rows.push(rejected(candidate.number, violation, candidate.raw));
            return Ok(());
        }
        let (decided, also) = match self.may_create(&customer, &candidate.draft) {
            Ok(rights) => rights,
            Err(error) => {
                let violation = ("row".to_owned(), lasting(error)?.to_owned());
                outcome.rows.push(rejected(candidate.number, violation, candidate.raw));
                return Ok(());
            }
        };
        customer.auth_rev = decided.revision();
        outcome.rows.push(result(candidate.number, RowResult::Created, Some(customer.id), None));
        places.keep(&customer, outcome.changes.len());
        let entry =
            self.entry(EntryKind::Record, &customer).change(None, Some("imported".to_owned())).about(self.job.id);
        let note = self.note(&candidate.draft, &customer);
        let mut change = Change::create(customer).entry(entry);
        change.entries.extend(note);
        outcome.changes.push(change);
        outcome.permits.push(decided);
        outcome.named.push(BTreeSet::new());
        outcome.also.extend(also.into_iter().map(|also| (also, BTreeSet::new())));
        outcome.made.push(candidate.number);
        Ok(())
    }

    /// The right to import the customer; to give it to its owner when that is somebody else, and to note what the row says.
    fn may_create(&self, customer: &Customer, draft: &RowDraft) -> Result<(Decided, Vec<Decided>), Error> {
        let decided = self.who.decide(Action::CustomerImport, &customer.row())?;
        require_draft_writable(&decided.levels(), &draft.draft, &self.catalogue.fields)?;
        let others = customer.owner != Some(self.who.subject());
        let given = others.then(|| self.who.decide(Action::CustomerAssign, &customer.row())).transpose()?;
        Ok((decided, given.into_iter().chain(self.may_note(customer, draft)?).collect()))
    }

    /// The right to note what the row says, if it says anything: that of a note by hand.
    fn may_note(&self, customer: &Customer, draft: &RowDraft) -> Result<Option<Decided>, Error> {
        if draft.note.is_none() {
            return Ok(None);
        }
        let decided = self.who.decide(Action::CustomerNote, &customer.row())?;
        require_write(&decided.levels(), Layer::History, "note")?;
        Ok(Some(decided))
    }

    /// A row about a customer that the importer sees: merged when the importer may write it, else only told.
    fn merge(
        &self,
        candidate: Candidate,
        existing: &Customer,
        outcome: &mut Outcome,
        places: &mut Places,
    ) -> Result<(), Error> {
        let mut after = combined(existing, &candidate.customer, places);
        if existing.import_job == Some(self.job.id) && existing.import_version == Some(existing.version) {
            // Still nobody else's: taking the import back takes this along.
            after.import_version = Some(existing.version + 1);
        }
        let decided = self
            .who
            .caller
            .decide_change(&self.who.leases, Action::CustomerUpdate, &existing.row(), &after.row())
            .map_err(Error::from)
            .and_then(|decided| {
                require_draft_writable(&decided.levels(), &candidate.draft.draft, &self.catalogue.fields)?;
                Ok((decided, self.may_note(existing, &candidate.draft)?))
            });
        let (decided, noted) = match decided {
            Ok(rights) => rights,
            Err(error) => {
                lasting(error)?;
                outcome.rows.push(result(candidate.number, RowResult::Duplicate, Some(existing.id), None));
                return Ok(());
            }
        };
        outcome.rows.push(result(candidate.number, RowResult::Merged, Some(existing.id), None));
        places.keep(&after, outcome.changes.len());
        let mut change = Change::update(existing.clone(), after).with_contents();
        change.after.auth_rev = decided.revision();
        let entry = self.entry(EntryKind::Record, existing).change(None, Some("merged".to_owned())).about(self.job.id);
        change.entries.push(entry);
        change.entries.extend(self.note(&candidate.draft, existing));
        outcome.changes.push(change);
        outcome.permits.push(decided);
        outcome.named.push(candidate.draft.adds());
        outcome.also.extend(noted.map(|noted| (noted, BTreeSet::from([entries::NOTE.to_owned()]))));
        outcome.made.push(candidate.number);
        Ok(())
    }

    /// A row about a customer that an earlier row of this batch has made or merged into. What it says beside that row
    /// is taken only when the importer may write it.
    fn join(
        &self,
        candidate: Candidate,
        place: usize,
        outcome: &mut Outcome,
        places: &mut Places,
    ) -> Result<(), Error> {
        let earlier = outcome.made[place];
        let change = &mut outcome.changes[place];
        let levels = outcome.permits[place].levels();
        let writable = require_draft_writable(&levels, &candidate.draft.draft, &self.catalogue.fields);
        let noted = match writable.and_then(|()| self.may_note(&change.after, &candidate.draft)) {
            Ok(noted) => noted,
            Err(error) => {
                lasting(error)?;
                let id = change.after.id;
                outcome.rows.push(result(candidate.number, RowResult::Duplicate, Some(id), Some(earlier)));
                return Ok(());
            }
        };
        change.after = combined(&change.after, &candidate.customer, places);
        // Of somebody new the log says no field.
        let mut fields = BTreeSet::new();
        if change.before.is_some() {
            outcome.named[place].extend(candidate.draft.adds());
            fields.insert(entries::NOTE.to_owned());
        }
        outcome.also.extend(noted.map(|noted| (noted, fields)));
        places.keep(&change.after, place);
        let note = self.note(&candidate.draft, &change.after);
        change.entries.extend(note);
        let id = change.after.id;
        outcome.rows.push(result(candidate.number, RowResult::Duplicate, Some(id), Some(earlier)));
        Ok(())
    }

    fn entry(&self, kind: EntryKind, customer: &Customer) -> Entry {
        customers::entry(self.app, kind, customer, self.now).by(self.who.subject())
    }

    fn note(&self, draft: &RowDraft, customer: &Customer) -> Option<Entry> {
        Some(self.entry(EntryKind::Note, customer).text(Some(draft.note.clone()?)))
    }
}

/// A refusal that is a row's result, by its reason. That nobody can say for now is none: the batch is done again.
fn lasting(error: Error) -> Result<&'static str, Error> {
    let reason = error.reason();
    let failure = Failure::from(error);
    if failure.is_transient() { Err(Error::Told(failure)) } else { Ok(reason) }
}

/// What stands survives; what it lacks is added. What a third customer has is left out.
fn combined(existing: &Customer, new: &Customer, places: &Places) -> Customer {
    let mut after = existing.clone();
    let taken = |point: &contact::ContactPoint| {
        let keys = matching::keys(false, "", "", std::slice::from_ref(point));
        keys.iter().any(|key| {
            key.kind.is_strong() && places.holders.get(key).is_some_and(|held| held.iter().any(|id| *id != existing.id))
        })
    };
    let added = new.contact_points.iter().filter(|point| !taken(point)).cloned();
    after.contact_points.extend(added.map(|point| contact::ContactPoint { primary: false, ..point }));
    contact::settle(&mut after.contact_points);
    after.contact_points.truncate(contact::CONTACT_POINTS_MAX);
    for (old, new) in [
        (&mut after.city, &new.city),
        (&mut after.source, &new.source),
        (&mut after.birthday, &new.birthday),
        (&mut after.contract_end, &new.contract_end),
    ] {
        if old.is_none() {
            old.clone_from(new);
        }
    }
    if after.external_id.is_none() && new.external_id.as_ref().is_some_and(|it| !places.externals.contains_key(it)) {
        after.external_id.clone_from(&new.external_id);
    }
    after.tags.extend(new.tags.iter().cloned());
    after.tags.sort();
    after.tags.dedup();
    after.tags.truncate(crate::domain::customer::TAGS_MAX);
    for (field, value) in &new.fields {
        if after.field(*field).is_none() {
            after.fields.push((*field, value.clone()));
        }
    }
    after
}

fn result(number: i64, result: RowResult, customer: Option<CustomerId>, duplicate_of: Option<i64>) -> Row {
    Row { number, result, customer, duplicate_of, violations: Vec::new(), raw: None }
}

fn rejected(number: i64, violation: (String, String), raw: Veiled<Vec<u8>>) -> Row {
    let violations = vec![violation];
    Row { number, result: RowResult::Rejected, customer: None, duplicate_of: None, violations, raw: Some(raw) }
}
