//! Templates of the caller's tenant. One that breaks a rule is never saved.

use revisit_bootstrap::{Principal, Tx, audit::Deed};
use revisit_core::{id::TemplateId, page::Page};
use revisit_permission::{Action, Permits};

use super::write::{self, Made};
use crate::{
    App,
    domain::{Channel, Error, Locale, MessageKind, Template as Checked, template::Rendered},
    store::{
        now,
        templates::{self, Key, Template},
    },
};

/// What is to change.
pub struct Change {
    pub id: TemplateId,
    pub text: Option<String>,
    pub layout: Option<String>,
    pub version: Option<i64>,
}

pub async fn get(app: &App, who: &Principal, id: TemplateId) -> Result<Template, Error> {
    let permit = super::of_tenant(who, Action::TemplateView)?;
    app.store
        .read(&permit, async |tx| templates::find(tx, permit.tenant(), id).await?.ok_or(Error::NoSuchTemplate))
        .await
}

/// A page in the order of kind, channel and locale, and the token of the next.
pub async fn list(
    app: &App,
    who: &Principal,
    which: (Option<MessageKind>, Option<Locale>),
    page: Page,
) -> Result<(Vec<Template>, String), Error> {
    let permit = super::of_tenant(who, Action::TemplateView)?;
    let after = page.after.as_deref().map(read_key).transpose()?;
    let mut rows = app
        .store
        .read(&permit, async |tx| {
            Ok(templates::list(tx, permit.tenant(), which, after, u64::from(page.size) + 1).await?)
        })
        .await?;
    let size = usize::try_from(page.size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let key = |last: &Template| [last.kind.name(), last.channel.name(), last.locale.name()].join("/");
    let next = rows.last().filter(|_| more).map(|last| page.token(key(last).as_bytes()));
    Ok((rows, next.unwrap_or_default()))
}

fn read_key(bytes: &[u8]) -> Result<Key, Error> {
    let read = || {
        let mut parts = std::str::from_utf8(bytes).ok()?.split('/');
        Some((MessageKind::parse(parts.next()?)?, Channel::parse(parts.next()?)?, Locale::parse(parts.next()?)?))
    };
    Ok(read().ok_or_else(Page::unreadable)?)
}

pub async fn update(app: &App, who: &Principal, change: Change) -> Result<Template, Error> {
    let permits = Permits(vec![super::of_tenant(who, Action::TemplateManage)?]);
    let named = [change.text.as_ref().map(|_| "text"), change.layout.as_ref().map(|_| "layout")];
    let work = async |tx: &Tx| {
        let mut template = templates::find(tx, who.tenant(), change.id).await?.ok_or(Error::NoSuchTemplate)?;
        let former = template.version;
        if change.version.is_some_and(|version| version != former) {
            return Err(Error::Stale);
        }
        template.text = change.text.unwrap_or(template.text);
        template.layout = change.layout.unwrap_or(template.layout);
        preview(template.kind, template.channel, template.locale, (&template.text, &template.layout))?;
        template.shipped = false;
        template.version += 1;
        template.updated_at = now(tx).await?;
        if !templates::save(tx, &template, former).await? {
            return Err(Error::Stale);
        }
        let deed = Deed::on("template", [template.id.uuid()]).fields(named.into_iter().flatten());
        Ok(Made::Changed(template, deed))
    };
    write::change(app, &permits, work).await
}

/// How a text and a layout would read.
pub fn preview(
    kind: MessageKind,
    channel: Channel,
    locale: Locale,
    (text, layout): (&str, &str),
) -> Result<Rendered, Error> {
    Checked::check(kind, channel, locale, text, layout).map(|(_, rendered)| rendered).map_err(Error::Template)
}

/// The same for a caller, who must be allowed to see templates.
pub fn preview_for(who: &Principal, (kind, channel, locale): Key, text: &str, layout: &str) -> Result<Rendered, Error> {
    super::of_tenant(who, Action::TemplateView)?;
    preview(kind, channel, locale, (text, layout))
}
