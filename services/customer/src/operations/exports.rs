//! Export: what may leave is decided anew for every chunk, marked with who took it, and audited before the first byte.
//! Nothing leaves that its taker could not see: a guard on viewing holds here too.

use std::sync::Arc;

use futures::{Stream, stream};
use revisit_bootstrap::{Principal, audit};
use revisit_core::id::JobId;
use revisit_permission::{Action, Scope};

use super::{
    Clear, View,
    customers::{disclose, read_filter},
};
use crate::{
    App,
    domain::{Error, field::Field},
    store::{
        self,
        load::{Place, SortKey, Wanted},
    },
};

/// Rows of one chunk: each is decided on the newest state.
const CHUNK_ROWS: usize = 500;

/// What is exported.
#[derive(Clone)]
pub struct Wish {
    pub filter: String,
    pub clear: bool,
    pub reason: String,
}

/// A chunk of rows with the columns of the tenant, and the mark that each row carries.
pub struct Chunk {
    pub first: bool,
    /// By what it was decided: to take it out, and to see it.
    pub decided: (Scope, Scope),
    pub views: Vec<View>,
    pub fields: Arc<Vec<Field>>,
    pub mark: String,
}

/// Checks cap and approval, writes the audit, and answers the rows chunk by chunk.
pub async fn export(
    app: Arc<App>,
    who: Principal,
    wish: Wish,
) -> Result<impl Stream<Item = Result<Chunk, Error>> + Send + 'static, Error> {
    let (scope, view) = (who.scope(Action::CustomerExport)?, who.scope(Action::CustomerView)?);
    let id: JobId = app.ids.next(app.clock.wall());
    // One row beyond the cap is enough to refuse.
    let most = Some(app.config.export_rows_max.saturating_add(1));
    let read = app.store.database.read(&scope, async |tx| {
        let fields = store::catalogue::fields(tx, scope.tenant()).await?;
        let filter = read_filter(&wish.filter, &fields)?;
        store::load::count_wanted(tx, &scope, Wanted { within: Some(&view), ..Wanted::matching(&filter) }, most).await
    });
    let count = u64::try_from(read.await?).unwrap_or(0);
    if count > app.config.export_rows_max {
        return Err(Error::ExportCap { max: app.config.export_rows_max });
    }
    if count > app.config.export_approval_rows {
        return Err(Error::ApprovalRequired);
    }
    let write = app.store.database.write(&scope, async |tx| {
        let entry = audit::Entry::new(&who.caller, Action::CustomerExport.name(), "customer").about([id.uuid()]);
        let entry = entry.with(|message| {
            message.count = i64::try_from(count).unwrap_or(i64::MAX);
            message.why.clone_from(&wish.reason);
            message.revision = scope.revision();
        });
        audit::record(tx, &app.ids, entry).await?;
        Ok::<_, Error>(())
    });
    write.await?;
    let mark = format!("{id} {}", who.subject());
    let state = Some((app, who, wish, mark, None::<Place>, 0_u64));
    Ok(stream::try_unfold(state, |state| async move {
        let Some((app, who, wish, mark, after, sent)) = state else { return Ok(None) };
        let first = after.is_none();
        let Read { decided, views, fields, next } = chunk(&app, &who, &wish, after).await?;
        let sent = sent + views.len() as u64;
        // Rows that appeared meanwhile lift neither the cap nor the number that needs an approval.
        if sent > app.config.export_rows_max {
            return Err(Error::ExportCap { max: app.config.export_rows_max });
        }
        if sent > app.config.export_approval_rows {
            return Err(Error::ApprovalRequired);
        }
        let chunk = Chunk { first, decided, views, fields, mark: mark.clone() };
        Ok(Some((chunk, next.map(|next| (app, who, wish, mark, Some(next), sent)))))
    }))
}

/// What was read of a chunk, and where the next one begins.
struct Read {
    decided: (Scope, Scope),
    views: Vec<View>,
    fields: Arc<Vec<Field>>,
    next: Option<Place>,
}

async fn chunk(app: &App, who: &Principal, wish: &Wish, after: Option<Place>) -> Result<Read, Error> {
    let (scope, view) = (who.scope(Action::CustomerExport)?, who.scope(Action::CustomerView)?);
    let clear = Clear { contact_points: wish.clear, all_fields: wish.clear, fields: Vec::new() };
    let read = app.store.database.read(&scope, async |tx| {
        let fields = Arc::new(store::catalogue::fields(tx, scope.tenant()).await?);
        let filter = read_filter(&wish.filter, &fields)?;
        let wanted = Wanted { within: Some(&view), ..Wanted::matching(&filter) };
        let (mut seen, more) = store::load::page(tx, &scope, wanted, after, CHUNK_ROWS).await?;
        store::load::unseal(tx, &app.store, &mut seen).await?;
        let next = seen.last().filter(|_| more).map(|(customer, _)| Place::of(customer, SortKey::CreateTime));
        let views: Vec<View> = seen
            .into_iter()
            .map(|(customer, levels)| View::new(customer, levels, &fields).with_clear(&clear))
            .collect();
        Ok::<_, Error>((views, fields, next))
    });
    let (views, fields, next) = read.await?;
    let views = disclose(app, who, &scope, views).await?;
    Ok(Read { decided: (scope, view), views, fields, next })
}
