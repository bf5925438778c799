//! The way to the relay: with STARTTLS required, nothing but the greeting goes over it in the clear, and only a relay
//! that proves who it is gets a mail.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use revisit_core::ManualClock;
use revisit_permission::Action;
use revisit_proto::{followup::v1::ReminderKind, notification::v1 as pb};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

use super::desk::{BEGIN, Desk, at_each_desk_with};

/// Where the certificates lie: an authority of these tests, and a relay at 127.0.0.1 that it vouches for.
fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixture/smtp").join(name)
}

/// A relay that takes mail inside TLS only. It ends when dropped.
struct Relay {
    address: SocketAddr,
    seen: Arc<Seen>,
    listener: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// Commands that came in the clear.
    clear: Mutex<Vec<String>>,
    mails: Mutex<Vec<String>>,
}

impl Relay {
    async fn start() -> Self {
        let chain = CertificateDer::from_pem_file(fixture("relay.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(fixture("relay.key")).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring speaks them")
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .expect("they belong together");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let seen = Arc::new(Seen::default());
        let kept = seen.clone();
        let listener = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, seen) = (acceptor.clone(), kept.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    greet(&mut stream, &seen).await?;
                    let mut inside = BufReader::new(acceptor.accept(stream.into_inner()).await.ok()?);
                    take(&mut inside, &seen).await
                });
            }
        });
        Self { address, seen, listener }
    }

    fn mails(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.mails.lock().expect("no panic"))
    }

    fn clear(&self) -> Vec<String> {
        std::mem::take(&mut *self.seen.clear.lock().expect("no panic"))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

async fn line(stream: &mut (impl AsyncBufReadExt + Unpin)) -> Option<String> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok().filter(|count| *count > 0)?;
    Some(line.trim_end().to_owned())
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, words: &str) -> Option<()> {
    stream.write_all(words.as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

/// In the clear, up to the change.
async fn greet<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, seen: &Seen) -> Option<()> {
    say(stream, "220 relay ESMTP\r\n").await?;
    loop {
        let command = line(stream).await?;
        seen.clear.lock().expect("no panic").push(command.split(' ').next().unwrap_or_default().to_owned());
        match command.as_str() {
            "STARTTLS" => return say(stream, "220 go ahead\r\n").await,
            greeting if greeting.starts_with("EHLO") => say(stream, "250-relay\r\n250 STARTTLS\r\n").await?,
            _ => say(stream, "530 STARTTLS first\r\n").await?,
        }
    }
}

/// Inside TLS.
async fn take<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut BufReader<S>, seen: &Seen) -> Option<()> {
    loop {
        let command = line(stream).await?;
        if command != "DATA" {
            say(stream, "250 relay\r\n").await?;
            continue;
        }
        say(stream, "354 go ahead\r\n").await?;
        let mut text = String::new();
        loop {
            match line(stream).await?.as_str() {
                "." => break,
                part => text.push_str(&format!("{part}\n")),
            }
        }
        seen.mails.lock().expect("no panic").push(text);
        say(stream, "250 taken\r\n").await?;
    }
}

async fn mail(desk: &Desk) -> pb::Delivery {
    desk.grant(&[Action::DeliveryView]).await;
    let task = desk.remind(ReminderKind::Due).await;
    desk.settle().await;
    desk.of_task(task).await.remove(&pb::Channel::Email).expect("it was planned")
}

#[tokio::test]
async fn a_mail_goes_inside_tls_and_nothing_of_it_before() {
    let relay = Relay::start().await;
    let settings = format!(
        "notification.mail.port = {}\nnotification.mail.tls = 'starttls'\nnotification.mail.ca_file = '{}'",
        relay.address.port(),
        fixture("authority.pem").display()
    );
    at_each_desk_with(
        &settings,
        || ManualClock::at(BEGIN),
        async |desk: &Desk| {
            assert_eq!(mail(desk).await.state(), pb::DeliveryState::Accepted);
            let reminders = relay.mails().iter().filter(|text| text.contains("Subject: Follow-up")).count();
            assert_eq!(reminders, 1);
            let clear = relay.clear();
            assert!(clear.iter().all(|command| ["EHLO", "STARTTLS"].contains(&command.as_str())), "{clear:?}");
        },
    )
    .await;
}

#[tokio::test]
async fn a_relay_that_cannot_prove_who_it_is_gets_nothing() {
    let relay = Relay::start().await;
    let settings = format!("notification.mail.port = {}\nnotification.mail.tls = 'starttls'", relay.address.port());
    at_each_desk_with(
        &settings,
        || ManualClock::at(BEGIN),
        async |desk: &Desk| {
            let waiting = mail(desk).await;
            assert_eq!((waiting.state(), waiting.last_code.as_str()), (pb::DeliveryState::Ready, "connection_failed"));
            assert_eq!(relay.mails(), Vec::<String>::new());
        },
    )
    .await;
}

#[tokio::test]
async fn a_relay_that_does_not_offer_starttls_gets_nothing_in_the_clear() {
    at_each_desk_with(
        "notification.mail.tls = 'starttls'",
        || ManualClock::at(BEGIN),
        async |desk: &Desk| {
            let waiting = mail(desk).await;
            assert_eq!((waiting.state(), waiting.last_code.as_str()), (pb::DeliveryState::Ready, "connection_failed"));
            assert_eq!(desk.sink.mails(), []);
        },
    )
    .await;
}
