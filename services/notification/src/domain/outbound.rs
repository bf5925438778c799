//! Whom we may connect to: public addresses only, unless the operator names an exception.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// Characters of an endpoint's URL at the most.
pub const URL_MAX: usize = 2_048;

/// A network that the operator allows although it is not public.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// From CIDR notation.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let (address, prefix): (IpAddr, u8) = (address.parse().ok()?, prefix.parse().ok()?);
        let max = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= max).then_some(Self { address, prefix })
    }

    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(net), IpAddr::V4(address)) => {
                same_prefix(u128::from(net.to_bits()) << 96, u128::from(address.to_bits()) << 96, self.prefix)
            }
            (IpAddr::V6(net), IpAddr::V6(address)) => same_prefix(net.to_bits(), address.to_bits(), self.prefix),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

const fn same_prefix(one: u128, other: u128, prefix: u8) -> bool {
    prefix == 0 || (one ^ other) >> (128 - prefix as u32) == 0
}

/// Every block that is not for the public internet (IANA special-purpose registries). Cloud metadata services lie in
/// link-local, carrier-grade NAT (100.100.100.200) and IETF (192.0.0.192) space, so they need no line of their own.
const REFUSED_V4: [(Ipv4Addr, u8); 16] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
];

/// What is refused inside 2000::/3; outside of it nothing is public (mapped, NAT64, unique-local, link-local ...).
const REFUSED_V6: [(Ipv6Addr, u8); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// Whether an address belongs to the public internet.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !REFUSED_V4
            .iter()
            .any(|(net, prefix)| Network { address: IpAddr::V4(*net), prefix: *prefix }.contains(address.into())),
        IpAddr::V6(address) => {
            let global = Network { address: IpAddr::V6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0)), prefix: 3 };
            global.contains(address.into())
                && !REFUSED_V6.iter().any(|(net, prefix)| {
                    Network { address: IpAddr::V6(*net), prefix: *prefix }.contains(address.into())
                })
        }
    }
}

/// Where connections may go.
#[derive(Clone, Debug, Default)]
pub struct Outbound {
    allowed: Vec<Network>,
}

impl Outbound {
    pub const fn new(allowed: Vec<Network>) -> Self {
        Self { allowed }
    }

    pub fn is_exception(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|network| network.contains(address))
    }

    pub fn permits(&self, address: IpAddr) -> bool {
        self.is_exception(address) || is_public(address)
    }

    /// Whether an endpoint's URL may be registered. The addresses that its name has are looked at again when calling.
    pub fn read_url(&self, text: &str) -> Result<Url, &'static str> {
        if text.is_empty() {
            return Err("is required");
        }
        if text.len() > URL_MAX {
            return Err("must have at most 2048 characters");
        }
        let url = Url::parse(text).map_err(|_| "must be an absolute URL")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not carry user information");
        }
        if url.fragment().is_some() {
            return Err("must not carry a fragment");
        }
        let literal = literal_address(&url);
        if literal.is_some_and(|address| !self.permits(address)) {
            return Err("must not name a private or special address");
        }
        match url.scheme() {
            "https" if url.has_host() => Ok(url),
            // Without TLS only inside a network that the operator answers for.
            "http" if literal.is_some_and(|address| self.is_exception(address)) => Ok(url),
            _ => Err("must be an https URL"),
        }
    }
}

/// The address when the URL's host is one and not a name: such a host is never resolved.
pub fn literal_address(url: &Url) -> Option<IpAddr> {
    url.host_str()?.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_refused_and_public_ones_pass() {
        for text in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.100.100.200",
            "192.0.0.192",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "::1",
            "::",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "64:ff9b:1::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
        ] {
            assert!(!is_public(text.parse().expect("an address")), "{text}");
        }
        for text in ["8.8.8.8", "100.63.255.255", "172.32.0.1", "2400:3200::1", "2606:4700::1111"] {
            assert!(is_public(text.parse().expect("an address")), "{text}");
        }
    }

    #[test]
    fn urls_are_https_without_user_and_without_private_literals() {
        let outbound = Outbound::default();
        assert!(outbound.read_url("https://hooks.example.com/a?b=c").is_ok());
        for text in [
            "",
            "hooks.example.com",
            "http://hooks.example.com/",
            "ftp://hooks.example.com/",
            "https://user:secret@hooks.example.com/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://[::ffff:127.0.0.1]/",
            "https://[fd00::1]/",
            "https://example.com/#part",
        ] {
            assert!(outbound.read_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_operator_may_except_a_network_also_without_tls() {
        let outbound = Outbound::new(vec![Network::parse("127.0.0.0/8").expect("a network")]);
        assert!(outbound.read_url("http://127.0.0.1:9/hook").is_ok());
        assert!(outbound.read_url("http://10.0.0.1/hook").is_err());
        assert!(Network::parse("127.0.0.0/33").is_none());
        assert!(Network::parse("127.0.0.0").is_none());
    }
}
