//! Mail by SMTP: a bounded pool of connections, and a conversation of which we always know how far it has come, because
//! only a connection that is lost after the text was sent leaves it open whether the mail was taken.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use lettre::{
    Address, Message,
    message::{Mailbox, header},
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        commands::{Data, Mail as MailCommand, Rcpt},
        extension::{ClientId, Extension, MailBodyParameter, MailParameter},
    },
};
use revisit_core::{Failure, Timestamp};
use revisit_permission::{self as permission, Purpose, Veiled};
use tokio::sync::Semaphore;

use super::{Answer, resolve::Resolver};
use crate::{
    config::{Mail as Config, Tls},
    domain::Outcome,
};

/// A mail that is ready to go.
#[derive(Clone, Debug)]
pub struct Letter {
    pub to: Address,
    pub bytes: Vec<u8>,
}

/// What a mail is made of.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    pub name: &'a str,
    pub address: &'a Veiled<permission::Address>,
    pub subject: &'a str,
    pub body: &'a str,
    /// Message-ID without brackets, the same at every try, so that a mailbox folds a repeat.
    pub message_id: &'a str,
    pub at: Timestamp,
}

/// The way to the relay.
pub struct Mail {
    config: Config,
    resolver: Resolver,
    from: Mailbox,
    tls: Option<TlsParameters>,
    places: Semaphore,
    idle: Mutex<VecDeque<AsyncSmtpConnection>>,
}

/// How far a conversation had come when it failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// The relay cannot have taken the mail.
    Before,
    /// The text was sent and the answer is missing.
    After,
}

/// Public authorities, and the one that the operator names.
fn tls(config: &Config) -> Result<TlsParameters, Failure> {
    let mut parameters = TlsParameters::builder(config.host.clone());
    if !config.ca_file.is_empty() {
        let refused = |error: String| Failure::invalid_field("notification.mail.ca_file", error);
        let pem = std::fs::read(&config.ca_file).map_err(|error| refused(error.to_string()))?;
        let authority = Certificate::from_pem(&pem).map_err(|error| refused(error.to_string()))?;
        parameters = parameters.add_root_certificate(authority);
    }
    parameters.build().map_err(Failure::internal)
}

impl Mail {
    pub fn new(config: &Config, resolver: Resolver) -> Result<Self, Failure> {
        let from = config.from.parse().map_err(Failure::internal)?;
        let tls = match config.tls {
            Tls::None => None,
            Tls::Upgraded | Tls::Immediate if !config.is_on() => None,
            Tls::Upgraded | Tls::Immediate => Some(tls(config)?),
        };
        let places = Semaphore::new(config.connections_max);
        Ok(Self { config: config.clone(), resolver, from, tls, places, idle: Mutex::default() })
    }

    pub const fn is_on(&self) -> bool {
        self.config.is_on()
    }

    /// Domain of the sender: the right half of every Message-ID.
    pub fn domain(&self) -> &str {
        self.from.email.domain()
    }

    /// Writes a mail; none when the recipient's address is not one.
    pub fn write(&self, words: &Words<'_>) -> Option<Letter> {
        let to: Address = words.address.lift(Purpose::Reach).as_str().parse().ok()?;
        let seconds = u64::try_from(words.at.seconds()).unwrap_or_default();
        let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(Some(words.name.to_owned()), to.clone()))
            .subject(words.subject)
            .date(date)
            .message_id(Some(format!("<{}>", words.message_id)))
            // Auto-responders must not answer (RFC 3834).
            .raw_header(header::HeaderValue::new(
                header::HeaderName::new_from_ascii_str("Auto-Submitted"),
                "auto-generated".to_owned(),
            ))
            .header(header::ContentType::TEXT_PLAIN)
            .body(words.body.to_owned())
            .ok()?;
        Some(Letter { to, bytes: message.formatted() })
    }

    /// Sends a mail. Waits for a free connection inside the time allowed for it.
    pub async fn send(&self, letter: &Letter) -> Answer {
        let mut phase = Phase::Before;
        let sent = tokio::time::timeout(self.config.timeout(), async {
            // The semaphore is never closed.
            let _place = self.places.acquire().await.ok();
            self.converse(letter, &mut phase).await
        });
        match sent.await {
            Ok(Ok(code)) => Answer::new(Outcome::Accepted, code),
            Ok(Err(answer)) => answer,
            Err(_) if phase == Phase::After => Answer::new(Outcome::Ambiguous, "timeout"),
            Err(_) => Answer::new(Outcome::Transient, "timeout"),
        }
    }

    async fn converse(&self, letter: &Letter, phase: &mut Phase) -> Result<String, Answer> {
        let mut connection = self.connection().await?;
        let utf8 = connection.server_info().supports_feature(Extension::EightBitMime) && !letter.bytes.is_ascii();
        let options = if utf8 { vec![MailParameter::Body(MailBodyParameter::EightBitMime)] } else { Vec::new() };
        let before = |error: SmtpError| meaning(&error, Phase::Before);
        connection.command(MailCommand::new(Some(self.from.email.clone()), options)).await.map_err(before)?;
        connection.command(Rcpt::new(letter.to.clone(), Vec::new())).await.map_err(before)?;
        connection.command(Data).await.map_err(before)?;
        *phase = Phase::After;
        let response = connection.message(&letter.bytes).await.map_err(|error| meaning(&error, Phase::After))?;
        // A poisoned lock only means that another task panicked between two moves of whole connections.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.config.connections_max {
            idle.push_back(connection);
        }
        Ok(response.code().to_string())
    }

    /// An idle connection that still answers, or a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, Answer> {
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(mut idle) = idle else { break };
            if !idle.has_broken() && idle.test_connected().await {
                return Ok(idle);
            }
        }
        let addresses = self.resolver.addresses(&self.config.host, self.config.port).await.map_err(|error| {
            let forbidden = error.kind() == std::io::ErrorKind::PermissionDenied;
            let code = if forbidden { "address_forbidden" } else { "unresolved" };
            Answer::new(Outcome::Transient, code)
        })?;
        let hello = ClientId::Domain(self.domain().to_owned());
        let before = |error: SmtpError| meaning(&error, Phase::Before);
        let at_once = self.tls.clone().filter(|_| self.config.tls == Tls::Immediate);
        let timeout = Some(self.config.timeout());
        let mut connection = AsyncSmtpConnection::connect_tokio1(addresses.as_slice(), timeout, &hello, at_once, None)
            .await
            .map_err(before)?;
        if let Some(tls) = self.tls.clone().filter(|_| self.config.tls == Tls::Upgraded) {
            // A relay that does not offer it is an error: the text never goes out in the clear by accident.
            connection.starttls(tls, &hello).await.map_err(before)?;
        }
        if !self.config.user.is_empty() {
            let user = Credentials::new(self.config.user.clone(), self.config.password.expose().to_owned());
            connection
                .auth(DEFAULT_MECHANISMS, &user)
                .await
                .map_err(|error| Answer { outcome: Outcome::Credential, ..meaning(&error, Phase::Before) })?;
        }
        Ok(connection)
    }
}

/// 4yz is worth another try, 5yz is final; without an answer it depends on how far the conversation had come.
fn meaning(error: &SmtpError, phase: Phase) -> Answer {
    if let Some(code) = error.status() {
        let outcome = if error.is_permanent() { Outcome::Permanent } else { Outcome::Transient };
        return Answer::new(outcome, code.to_string());
    }
    match phase {
        Phase::After => Answer::new(Outcome::Ambiguous, "connection_lost"),
        Phase::Before => Answer::new(Outcome::Transient, "connection_failed"),
    }
}
