//! One-time links to a password: who may draw one, because whoever has it can come in as its owner.

use revisit_bootstrap::auth::Principal;
use revisit_core::{Timestamp, id::SubjectId};
use revisit_event::Draft;
use revisit_permission::{Action, Snapshot, SubjectState};
use revisit_proto::identity::v1 as pb;

use super::{
    audit::{self, Act, Actor},
    book::require_decided,
    users,
};
use crate::{
    App,
    domain::{
        Account, Error,
        log_in::{draw_secret, hash_secret},
    },
    store::accounts::{self, NewLink},
};

/// A one-time link.
pub struct PasswordLink {
    pub token: String,
    pub expires_at: Timestamp,
}

/// A new one-time link; earlier ones die.
pub async fn draw(app: &App, who: &Principal, id: SubjectId) -> Result<PasswordLink, Error> {
    let permit = users::managed(app, who, id, Action::UserManage).await?;
    let token = draw_secret(&app.secrets);
    let expires_at = app
        .store
        .write(&permit, async |tx| {
            let now = crate::store::now(tx).await?;
            let kept = accounts::by_id(tx, who.tenant(), id).await?.ok_or(Error::NoSuchUser)?;
            require_decided(&permit, [kept.account.row(who.tenant())])?;
            if matches!(kept.account.state, SubjectState::Suspended | SubjectState::Left) {
                return Err(Error::UserState);
            }
            let (revision, facts) = app.ledgers.read(tx, who.tenant()).await?;
            refuse_taking_over(&Snapshot::compile(&facts, revision), who, &kept.account, now)?;
            let expires_at = now + app.config.password_link();
            let link = NewLink { hash: hash_secret(&token), drawn_by: Some(who.subject()), expires_at };
            accounts::set_link(tx, who.tenant(), id, link).await?;
            let entry = Act::done(Actor::of(who), "auth.create_password_link", "user", id.uuid());
            audit::act(app, tx, who.tenant(), entry).await?;
            if id != who.subject() && kept.account.state != SubjectState::Invited {
                let event = pb::PasswordLinkDrawn { user_id: id.to_string(), drawn_by_id: who.subject().to_string() };
                tx.emit(Draft::new(who.tenant(), id.uuid(), kept.account.version, &event));
            }
            Ok(expires_at)
        })
        .await?;
    Ok(PasswordLink { token, expires_at })
}

/// Whoever draws a link or a secret can come in as its owner: that takes the right to give all that the owner holds,
/// else a second person. Who has never come in yet is a matter of who may invite.
pub fn refuse_taking_over(
    snapshot: &Snapshot,
    who: &Principal,
    account: &Account,
    now: Timestamp,
) -> Result<(), Error> {
    if account.id == who.subject() {
        return Ok(());
    }
    let may = match account.state {
        SubjectState::Invited => {
            let roles = snapshot.facts().subject(account.id).into_iter().flat_map(|subject| &subject.positions);
            let roles = roles.filter_map(|id| snapshot.facts().position(*id)).flat_map(|position| &position.roles);
            let mut roles = roles.chain(&account.added_roles);
            roles.try_for_each(|role| snapshot.may_assign(who.subject(), account.id, *role, now))
        }
        SubjectState::Active | SubjectState::Suspended | SubjectState::Left => {
            snapshot.may_become(who.subject(), account.id, now)
        }
    };
    may.map_err(Error::takes_over(account.id))
}
