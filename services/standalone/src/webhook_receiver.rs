//! A receiver of webhooks that verifies and keeps what it gets: the other end of every webhook of the demo and tests.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::watch,
    task::JoinHandle,
};

/// Bytes of a request's head and of its body at the most.
const HEAD_MAX: usize = 16 << 10;
const BODY_MAX: usize = 1 << 20;

/// A call as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Header `webhook-id`.
    pub id: String,
    /// Header `webhook-timestamp`, seconds since 1970-01-01T00:00:00Z.
    pub timestamp: String,
    /// Header `webhook-signature`.
    pub signature: String,
    /// The body.
    pub body: String,
    /// Whether it was answered with success.
    pub taken: bool,
}

impl Call {
    /// Whether one of its signatures is ours, as Standard Webhooks says: HMAC-SHA256 over id, timestamp and body.
    #[must_use]
    pub fn is_signed_with(&self, whsec: &str) -> bool {
        let Some(key) = whsec.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok()) else { return false };
        let signed = format!("{}.{}.{}", self.id, self.timestamp, self.body);
        self.signature.split(' ').filter_map(|one| one.strip_prefix("v1,")).any(|one| {
            let (Ok(given), Ok(mut mac)) = (STANDARD.decode(one), Hmac::<Sha256>::new_from_slice(&key)) else {
                return false;
            };
            mac.update(signed.as_bytes());
            mac.verify_slice(&given).is_ok()
        })
    }
}

/// The receiver. It ends when dropped.
pub struct WebhookReceiver {
    address: SocketAddr,
    kept: Arc<Kept>,
    listener: JoinHandle<()>,
}

#[derive(Default)]
struct Kept {
    calls: Mutex<Vec<Call>>,
    answers: Mutex<VecDeque<u16>>,
    count: watch::Sender<usize>,
    held: watch::Sender<bool>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one push or pop, so what a panicking holder leaves is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WebhookReceiver {
    /// Listens on a free port of the loopback.
    pub async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let kept = Arc::new(Kept::default());
        let keeping = kept.clone();
        let listener = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = keeping.clone();
                tokio::spawn(async move { converse(stream, &kept).await });
            }
        });
        Ok(Self { address, kept, listener })
    }

    /// Where it is called.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What it got so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        locked(&self.kept.calls).clone()
    }

    /// With what to answer the next calls; 200 when nothing is said. 0 closes the connection without an answer.
    pub fn expect_answers(&self, answers: &[u16]) {
        locked(&self.kept.answers).extend(answers);
    }

    /// From now on calls are taken and not answered.
    pub fn hold(&self) {
        self.kept.held.send_replace(true);
    }

    /// Answers what was held.
    pub fn release(&self) {
        self.kept.held.send_replace(false);
    }

    /// Waits until it has got that many.
    pub async fn reached(&self, count: usize) {
        // The sender lives in `self`.
        let _ = self.kept.count.subscribe().wait_for(|got| *got >= count).await;
    }
}

impl Drop for WebhookReceiver {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// One connection, one request after the other, until the caller leaves or breaks a bound.
async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, kept: &Kept) -> Option<()> {
    let mut read = Vec::new();
    loop {
        let head = upto_blank_line(&mut stream, &mut read).await?;
        let length = header(&head, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0_usize);
        if length > BODY_MAX {
            return None;
        }
        while read.len() < length {
            more(&mut stream, &mut read).await?;
        }
        let body: Vec<u8> = read.drain(..length).collect();
        let status = locked(&kept.answers).pop_front().unwrap_or(200);
        let field = |name| header(&head, name).unwrap_or_default();
        let call = Call {
            id: field("webhook-id"),
            timestamp: field("webhook-timestamp"),
            signature: field("webhook-signature"),
            body: String::from_utf8_lossy(&body).into_owned(),
            taken: (200..300).contains(&status),
        };
        locked(&kept.calls).push(call);
        kept.count.send_modify(|count| *count += 1);
        if status == 0 {
            return None;
        }
        kept.held.subscribe().wait_for(|held| !held).await.ok()?;
        // A redirect leads back here, where a caller that follows it is seen.
        let location = if (300..400).contains(&status) { "location: /hook\r\n" } else { "" };
        let answer = format!("HTTP/1.1 {status} Noted\r\n{location}content-length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

async fn upto_blank_line(stream: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            let head: Vec<u8> = read.drain(..end + 4).collect();
            return Some(String::from_utf8_lossy(&head).into_owned());
        }
        if read.len() > HEAD_MAX {
            return None;
        }
        more(stream, read).await?;
    }
}

async fn more(stream: &mut (impl AsyncRead + Unpin), read: &mut Vec<u8>) -> Option<()> {
    stream.read_buf(read).await.ok().filter(|count| *count > 0).map(|_| ())
}

fn header(head: &str, name: &str) -> Option<String> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_of_standard_webhooks_is_accepted_and_a_changed_body_is_not() {
        let call = Call {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(),
            timestamp: "1614265330".to_owned(),
            signature: "v1,xx v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned(),
            body: "{\"test\": 2432232314}".to_owned(),
            taken: true,
        };
        assert!(call.is_signed_with("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
        let changed = Call { body: "{}".to_owned(), ..call };
        assert!(!changed.is_signed_with("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    }

    #[tokio::test]
    async fn two_calls_on_one_connection_are_kept_and_answered_as_told() {
        let receiver = WebhookReceiver::start().await.expect("a free port");
        receiver.expect_answers(&[503]);
        let mut stream = tokio::net::TcpStream::connect(receiver.address).await.expect("it listens");
        let call = "POST /hook HTTP/1.1\r\nWebhook-Id: 1\r\nContent-Length: 2\r\n\r\n{}";
        stream.write_all(format!("{call}{call}").as_bytes()).await.expect("it reads");
        receiver.reached(2).await;
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains(" 200 ") {
            assert!(stream.read_buf(&mut answer).await.expect("it answers") > 0);
        }
        assert!(String::from_utf8_lossy(&answer).starts_with("HTTP/1.1 503"));
        assert_eq!(receiver.calls().iter().map(|call| call.taken).collect::<Vec<_>>(), [false, true]);
    }
}
