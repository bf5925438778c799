//! Where a call comes from: the address of its connection, or what a trusted balancer says of it. The audit log and the
//! counts of failed log-ins go by it.
//!
//! It belongs to the task that answers the call, like the trace: what a call starts and does not wait for has none.

use std::net::IpAddr;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response};
use tonic::{body::Body, transport::server::TcpConnectInfo};

use crate::front::{Inner, pass};

/// In which a service of ours says for whose address it asks; believed of nobody else.
pub(crate) const FORWARDED_HEADER: HeaderName = HeaderName::from_static("x-revisit-address");

tokio::task_local! {
    static ADDRESS: Option<IpAddr>;
}

/// The address of who made the call at hand; empty for work that nobody called for, and inside the process.
#[must_use]
pub fn current() -> String {
    ADDRESS.try_with(|address| address.map(|address| address.to_string()).unwrap_or_default()).unwrap_or_default()
}

/// For a call to a service of ours that is made for somebody.
pub(crate) fn forwarded() -> Option<HeaderValue> {
    HeaderValue::try_from(current()).ok().filter(|value| !value.is_empty())
}

/// Passes a request on under its address. `by_service` says that a service of ours has made the call.
pub(crate) async fn pass_from<S: Inner>(
    next: S,
    request: Request<Body>,
    trusted: Option<&HeaderName>,
    by_service: Option<&'static str>,
) -> Response<Body> {
    let believed = if by_service.is_some() { Some(&FORWARDED_HEADER) } else { trusted };
    let address = of(request.headers(), request.extensions(), believed);
    ADDRESS.scope(address, pass(next, request)).await
}

/// What a trusted balancer says, else the address of the connection.
#[must_use]
pub fn of(headers: &HeaderMap, extensions: &Extensions, trusted: Option<&HeaderName>) -> Option<IpAddr> {
    let said = trusted.and_then(|name| headers.get_all(name).iter().next_back()).and_then(nearest);
    said.or_else(|| Some(extensions.get::<TcpConnectInfo>()?.remote_addr()?.ip()))
}

/// The last address of a list: the balancer next to us has added it, what stands before came from outside.
fn nearest(value: &HeaderValue) -> Option<IpAddr> {
    value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_nearest_balancer_added_is_read() {
        let read = |text: &'static str| nearest(&HeaderValue::from_static(text)).map(|it| it.to_string());
        assert_eq!(read("10.0.0.1, 192.0.2.7"), Some("192.0.2.7".to_owned()));
        assert_eq!(read("2001:db8::1"), Some("2001:db8::1".to_owned()));
        assert_eq!(read("somebody, unknown"), None);
    }

    #[test]
    fn outside_of_a_call_there_is_no_address() {
        assert_eq!(current(), "");
    }
}
