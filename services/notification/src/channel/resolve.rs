//! Names become addresses once, here, and the connection goes to that address: a name that changes its mind between
//! check and use leads nowhere.

use std::{io, net::SocketAddr, sync::Arc};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::domain::outbound::Outbound;

/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 16;

/// Resolves for HTTP and SMTP alike.
#[derive(Clone, Debug)]
pub struct Resolver {
    outbound: Arc<Outbound>,
}

/// A name led to an address that we do not connect to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the name leads to an address that is not allowed")]
pub struct Forbidden;

impl Resolver {
    pub fn new(outbound: Arc<Outbound>) -> Self {
        Self { outbound }
    }

    /// The addresses of a host. One forbidden address forbids the name: an attacker chooses their order.
    pub async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.take(ADDRESSES_MAX).collect();
        if found.iter().any(|address| !self.outbound.permits(address.ip())) {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, Forbidden));
        }
        Ok(found)
    }

    pub fn outbound(&self) -> &Outbound {
        &self.outbound
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let addresses = resolver.addresses(name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::outbound::Network;

    #[tokio::test]
    async fn a_name_that_leads_home_is_refused_unless_the_operator_allows_it() {
        let closed = Resolver::new(Arc::new(Outbound::default()));
        let refused = closed.addresses("localhost", 80).await.expect_err("localhost is not public");
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        let networks = ["127.0.0.0/8", "::1/128"].map(|network| Network::parse(network).expect("a network"));
        let open = Resolver::new(Arc::new(Outbound::new(networks.to_vec())));
        assert!(!open.addresses("localhost", 80).await.expect("allowed").is_empty());
    }
}
