//! The second oracle: the same generated worlds decided by policies for cedar-policy, written from the design page.
//!
//! Cedar answers yes or no, so a level is part of the question; the accounts above a sub-account, and the giver of a
//! delegated right, are asked like the subject itself.
#![expect(clippy::expect_used, reason = "a test's panic is its report")]

#[path = "cedar/entities.rs"]
mod entities;
#[path = "cedar/policies.rs"]
mod policies;

use cedar_policy::{Authorizer, Context, Decision, Entities, PolicySet, Request};
use entities::{Organisation, context, uid};
use policies::Policies;
use proptest::{prop_assert, prop_assert_eq};
use revisit_laws::{
    engine,
    law::Law,
    naive::{Id, Row},
    world::{ACTIONS, Case, case},
};

/// What is asked of one account.
#[derive(Clone, Copy)]
struct Question<'a> {
    subject: Id,
    action: &'a str,
    row: &'a Row,
    /// Which layer, and how much of it; for level 0 of any layer it is enough that the row is allowed.
    wanted: (usize, u8),
}

/// A case as Cedar holds it.
struct Oracle<'a> {
    case: &'a Case,
    organisation: Organisation<'a>,
    entities: Entities,
    own: PolicySet,
    /// Whose, by whom, and the one right with all that forbids.
    delegated: Vec<(Id, Id, PolicySet)>,
    authorizer: Authorizer,
}

impl<'a> Oracle<'a> {
    fn new(case: &'a Case) -> Self {
        let organisation = Organisation { world: &case.world };
        let mut entities = organisation.entities();
        entities.extend(case.rows.iter().map(|row| organisation.row(row)));
        let policies = Policies::of(&organisation, &case.rows);
        let parse = |text: String| text.parse().unwrap_or_else(|error| panic!("{error:?}: {text}"));
        let delegated = policies
            .delegated
            .iter()
            .map(|(holder, giver, permit)| (*holder, *giver, parse(policies.forbids.clone() + permit)));
        Self {
            case,
            entities: Entities::from_entities(entities, None).expect("no entity is there twice"),
            delegated: delegated.collect(),
            own: parse(policies.forbids + &policies.permits),
            organisation,
            authorizer: Authorizer::new(),
        }
    }

    /// Whether a subject and all accounts above it may.
    fn allows(&self, question: Question<'_>) -> bool {
        let accounts = self.organisation.accounts(question.subject);
        accounts.is_some_and(|accounts| {
            accounts.iter().all(|account| self.gives(*account, question) || self.is_lent(*account, question))
        })
    }

    /// Whether the account's own rights give it.
    fn gives(&self, account: Id, question: Question<'_>) -> bool {
        self.permits(&self.own, account, question)
    }

    /// Whether a right that was delegated to the account gives it, and its giver might as well by rights of its own.
    fn is_lent(&self, account: Id, question: Question<'_>) -> bool {
        let mut lent = self.delegated.iter().filter(|(holder, ..)| *holder == account);
        lent.any(|(_, giver, policies)| {
            let Some(line) = self.organisation.accounts(*giver) else { return false };
            let asked = Question { subject: *giver, ..question };
            self.permits(policies, account, question) && line.iter().all(|account| self.gives(*account, asked))
        })
    }

    fn permits(&self, policies: &PolicySet, account: Id, question: Question<'_>) -> bool {
        let Question { subject, action, row, wanted } = question;
        let context = context(&self.case.world, subject, self.case.now, wanted);
        let context = Context::from_pairs(context).expect("no value is there twice");
        let (principal, action, resource) = (uid("User", account), uid("Action", action), uid("Row", row.id));
        let request = Request::new(principal, action, resource, context, None).expect("there is no schema to break");
        let response = self.authorizer.is_authorized(&request, policies, &self.entities);
        let errors: Vec<_> = response.diagnostics().errors().collect();
        assert!(errors.is_empty(), "a policy that fails says nothing: {errors:?}");
        response.decision() == Decision::Allow
    }
}

#[test]
fn cedar_policies_written_from_the_page_give_the_same_answers() {
    Law::new("cedar", 520, 10_000).with_corpus("../laws/proptest-regressions/cases.txt").holds(
        &case(),
        |case, tally| {
            if !(Organisation { world: &case.world }).is_led_in_lines() {
                return Ok(());
            }
            // The policies are about our own rows.
            let rows = case.rows.iter().filter(|row| row.external.is_none()).cloned().collect();
            let case = Case { rows, ..case };
            let oracle = Oracle::new(&case);
            let snapshot = engine::snapshot(&case.world);
            for subject in case.world.subjects.iter().map(|it| it.id) {
                for action in ACTIONS.into_iter().filter(|action| !action.starts_with("external.")) {
                    for row in &case.rows {
                        tally.count();
                        let (who, what) = (engine::subject(subject), engine::action(action));
                        let decision = snapshot.decide(who, what, &engine::row(row), engine::time(case.now));
                        let asks = |wanted| oracle.allows(Question { subject, action, row, wanted });
                        prop_assert_eq!(asks((0, 0)), decision.allowed, "subject {} {} {:?}", subject, action, row);
                        let levels = engine::plain_levels(decision.levels).into_iter().enumerate();
                        for (layer, level) in levels.filter(|_| decision.allowed) {
                            prop_assert!(asks((layer, level)), "{} of layer {} of {:?}", level, layer, row);
                            prop_assert!(
                                level == 3 || !asks((layer, level + 1)),
                                "only {} of layer {} of {:?}",
                                level,
                                layer,
                                row
                            );
                        }
                    }
                }
            }
            Ok(())
        },
    );
}
