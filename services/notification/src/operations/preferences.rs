//! The caller's own preferences and the tenant's policy.

use std::collections::BTreeMap;

use revisit_bootstrap::{Principal, Tx, audit::Deed};
use revisit_permission::{Action, Permits};

use super::write::{self, Made};
use crate::{
    App,
    domain::{Error, MessageKind, QuietHours},
    store::{
        now,
        preferences::{self, Policy, Preference},
    },
};

/// What is to change; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    pub mail: Option<BTreeMap<MessageKind, bool>>,
    pub quiet: Option<Option<QuietHours>>,
    pub version: Option<i64>,
}

/// What is to change; what is none stays.
#[derive(Clone, Copy, Debug, Default)]
pub struct PolicyChange {
    pub critical_breaks_quiet: Option<bool>,
    pub customer_welcome: Option<bool>,
    pub digest: Option<bool>,
    pub version: Option<i64>,
}

impl PolicyChange {
    /// What it names, in the words of the contract.
    fn named(self) -> impl Iterator<Item = &'static str> {
        let named = [
            self.critical_breaks_quiet.map(|_| "critical_breaks_quiet"),
            self.customer_welcome.map(|_| "customer_welcome"),
            self.digest.map(|_| "digest"),
        ];
        named.into_iter().flatten()
    }
}

/// What holds for a user who has set nothing.
fn unset(app: &App) -> Preference {
    Preference { quiet: app.config.quiet(), ..Preference::default() }
}

pub async fn get(app: &App, who: &Principal) -> Result<Preference, Error> {
    let permit = super::own(who)?;
    app.store
        .read(&permit, async |tx| {
            Ok(preferences::find(tx, who.tenant(), who.subject()).await?.unwrap_or_else(|| unset(app)))
        })
        .await
}

pub async fn update(app: &App, who: &Principal, change: Change) -> Result<Preference, Error> {
    let permits = Permits(vec![super::own(who)?]);
    let key = (who.tenant(), who.subject());
    let named = [change.mail.as_ref().map(|_| "kinds"), change.quiet.as_ref().map(|_| "quiet_hours")];
    let work = async |tx: &Tx| {
        let mut preference = preferences::find(tx, key.0, key.1).await?.unwrap_or_else(|| unset(app));
        let former = preference.version;
        if change.version.is_some_and(|version| version != former) {
            return Err(Error::Stale);
        }
        preference.mail = change.mail.unwrap_or(preference.mail);
        preference.quiet = change.quiet.unwrap_or(preference.quiet);
        preference.version += 1;
        preference.updated_at = Some(now(tx).await?);
        if !preferences::save(tx, key, &preference, former).await? {
            return Err(Error::Stale);
        }
        let deed = Deed::on("preferences", [key.1.uuid()]).named("preferences.update");
        Ok(Made::Changed(preference, deed.fields(named.into_iter().flatten())))
    };
    write::change(app, &permits, work).await
}

pub async fn policy(app: &App, who: &Principal) -> Result<Policy, Error> {
    let permit = super::of_tenant(who, Action::TemplateView)?;
    app.store.read(&permit, async |tx| Ok(preferences::policy(tx, who.tenant()).await?)).await
}

pub async fn update_policy(app: &App, who: &Principal, change: PolicyChange) -> Result<Policy, Error> {
    let permits = Permits(vec![super::of_tenant(who, Action::TemplateManage)?]);
    let work = async |tx: &Tx| {
        let mut policy = preferences::policy(tx, who.tenant()).await?;
        let former = policy.version;
        if change.version.is_some_and(|version| version != former) {
            return Err(Error::Stale);
        }
        policy.critical_breaks_quiet = change.critical_breaks_quiet.unwrap_or(policy.critical_breaks_quiet);
        policy.customer_welcome = change.customer_welcome.unwrap_or(policy.customer_welcome);
        policy.digest = change.digest.unwrap_or(policy.digest);
        policy.version += 1;
        if !preferences::save_policy(tx, who.tenant(), policy, former).await? {
            return Err(Error::Stale);
        }
        Ok(Made::Changed(policy, Deed::on("tenant", [who.tenant().uuid()]).fields(change.named())))
    };
    write::change(app, &permits, work).await
}
