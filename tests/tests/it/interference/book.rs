//! What was answered, as text in which ids have the names of what they stand for.

use std::{collections::BTreeMap, fmt::Debug};

use revisit_bootstrap::status::answer;
use revisit_core::Failure;
use tonic::{Response, Status, Streaming};

use super::company::{Company, Viewer};

/// Pages of a list at the most.
const PAGES_MAX: usize = 50;
/// Characters of a UUID, with and without dashes.
const DASHED: usize = 36;
const SIMPLE: usize = 32;

/// Answers by who asked, the call, and what was asked.
pub struct Book {
    pub pages: BTreeMap<String, String>,
    names: BTreeMap<String, String>,
    viewer: &'static str,
}

impl Book {
    pub fn of(company: &Company) -> Self {
        Self { pages: BTreeMap::new(), names: company.names.clone(), viewer: "" }
    }

    /// From here on somebody else asks.
    pub fn opened_by(&mut self, viewer: &Viewer) {
        self.viewer = viewer.name;
    }

    /// From here on a service or the company itself asks.
    pub fn opened_for(&mut self, viewer: &'static str) {
        self.viewer = viewer;
    }

    /// Notes something under a call.
    pub fn note(&mut self, call: &str, asked: &str, text: &str) {
        let text = self.named(text);
        let page = self.pages.entry(format!("{} {call} {asked}", self.viewer)).or_default();
        page.push_str(&text);
        page.push('\n');
    }

    /// Notes the answer of a call, or its refusal.
    pub fn take<T: Debug>(&mut self, call: &str, asked: &str, answered: Result<Response<T>, Status>) -> Option<T> {
        match answer(answered) {
            Ok(answer) => {
                self.note(call, asked, &format!("{answer:#?}"));
                Some(answer)
            }
            Err(failure) => {
                self.refused(call, asked, &failure);
                None
            }
        }
    }

    pub fn refused(&mut self, call: &str, asked: &str, failure: &Failure) {
        let Failure { kind, reason, message, violations, details, source: _ } = failure;
        self.note(call, asked, &format!("{kind:?} {reason}: {message} {violations:?} {details:?}"));
    }

    /// Notes every page of a list. The tokens are the service's own; that there is one says that more follow.
    pub async fn leaf<T: Debug>(
        &mut self,
        call: &str,
        asked: &str,
        page: impl AsyncFn(String) -> Result<Response<T>, Status>,
        rest: impl Fn(&mut T) -> &mut String,
    ) {
        let mut token = String::new();
        for _ in 0..PAGES_MAX {
            match answer(page(token).await) {
                Ok(mut answer) => {
                    token = std::mem::take(rest(&mut answer));
                    self.note(call, asked, &format!("{answer:#?}\nmore: {}", !token.is_empty()));
                }
                Err(failure) => {
                    self.refused(call, asked, &failure);
                    return;
                }
            }
            if token.is_empty() {
                return;
            }
        }
        self.note(call, asked, "more pages than anybody turns");
    }

    /// Notes what a stream says until it ends, as many messages as are told.
    pub async fn listen<T: Debug>(
        &mut self,
        call: &str,
        asked: &str,
        (messages, stream): (usize, Result<Response<Streaming<T>>, Status>),
        text: impl Fn(T) -> String,
    ) {
        let mut stream = match answer(stream) {
            Ok(stream) => stream,
            Err(failure) => return self.refused(call, asked, &failure),
        };
        let mut said = String::new();
        for _ in 0..messages {
            match stream.message().await {
                Ok(Some(message)) => said.push_str(&text(message)),
                Ok(None) => break,
                Err(status) => {
                    self.note(call, asked, &said);
                    return self.refused(call, asked, &revisit_bootstrap::status::failure(&status));
                }
            }
        }
        self.note(call, asked, &said);
    }

    /// Mails and webhooks as they arrived, whatever the order.
    pub fn delivered(&mut self, company: &Company) {
        self.opened_for("world");
        let mut mails: Vec<String> = company.world.sink.mails().into_iter().map(|mail| mail.text).collect();
        mails.iter_mut().for_each(|mail| *mail = self.named(mail));
        mails.sort();
        self.note("mail", "", &mails.join("\n---\n"));
        let mut hooks: Vec<String> = company.world.receiver.calls().into_iter().map(|call| call.body).collect();
        hooks.iter_mut().for_each(|hook| *hook = self.named(hook));
        hooks.sort();
        assert!(!hooks.is_empty() && !mails.is_empty(), "something is delivered");
        self.note("webhook", "", &hooks.join("\n"));
    }

    /// Sorts the entries of an answer whose order follows ids that were drawn at one instant.
    pub fn sorted(&mut self, call: &str, asked: &str, mut entries: Vec<String>) {
        entries.iter_mut().for_each(|entry| *entry = self.named(entry));
        entries.sort();
        self.note(call, asked, &entries.join("\n"));
    }

    /// The text with the names of known ids, and `ID` for others.
    pub fn named(&self, text: &str) -> String {
        let (mut named, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(first) = rest.chars().next() {
            let id = [DASHED, SIMPLE].into_iter().find_map(|length| rest.get(..length).filter(|id| is_id(id)));
            match id {
                Some(id) => {
                    named.push_str(self.names.get(&id.replace('-', "")).map_or("ID", String::as_str));
                    rest = &rest[id.len()..];
                }
                None => {
                    named.push(first);
                    rest = &rest[first.len_utf8()..];
                }
            }
        }
        named
    }
}

fn is_id(text: &str) -> bool {
    let dash = |place: usize| text.len() == DASHED && [8, 13, 18, 23].contains(&place);
    text.bytes().enumerate().all(|(place, byte)| if dash(place) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}
