//! Where a server is: its address in parts, and the machines that it may be.

use crate::Fault;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address of a server, as its owner wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) scheme: Scheme,
    /// A name or an IP address, without brackets.
    pub(crate) host: String,
    port: u16,
    /// Before every path; empty, or begins with `/` and does not end so.
    base: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Address {
    /// Parses `http://host:port/base`. Nothing for any other text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.strip_prefix("http://") {
            Some(rest) => (Scheme::Http, rest),
            None => (Scheme::Https, text.strip_prefix("https://")?),
        };
        let (authority, base) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, port) = bracketed.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, port)
            }
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match (port.strip_prefix(':'), scheme) {
            (Some(port), _) => port.parse().ok()?,
            (None, _) if !port.is_empty() => return None,
            (None, Scheme::Http) => 80,
            (None, Scheme::Https) => 443,
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
        let is_path = |c: char| c.is_ascii_graphic() && !"?#\"<>\\^`{|}".contains(c);
        if host.is_empty() || !host.chars().all(is_name) || !base.chars().all(is_path) {
            return None;
        }
        Some(Self {
            scheme,
            host: host.to_owned(),
            port,
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    /// The value of the `Host` header.
    pub(crate) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// The request target of a path, which begins with `/`.
    pub(crate) fn target(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The machines to connect to, in the order to try them. A name leads to no address that only
    /// means something on this machine or in its cloud: whoever controls the name's record would
    /// otherwise control which of the host's own services is asked.
    pub(crate) async fn resolve(&self) -> Result<Vec<SocketAddr>, Fault> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found: Vec<SocketAddr> = found
            .map_err(|error| Fault::Unavailable(format!("its name cannot be resolved: {error}")))?
            .collect();
        let allowed: Vec<SocketAddr> = found
            .iter()
            .copied()
            .filter(|address| self.may_be(address.ip()))
            .collect();
        match (allowed.is_empty(), found.first()) {
            (false, _) => Ok(allowed),
            (true, None) => Err(Fault::Unavailable("its name has no address".to_owned())),
            (true, Some(address)) => Err(Fault::Refused(format!(
                "its name resolves to {}, an address of this machine or of its network's own services",
                address.ip()
            ))),
        }
    }

    fn may_be(&self, ip: IpAddr) -> bool {
        if self.host.parse::<IpAddr>().is_ok() {
            // The owner of the document wrote it down.
            return true;
        }
        if self.host == "localhost" || self.host.ends_with(".localhost") {
            return ip.is_loopback();
        }
        !is_special(ip)
    }
}

/// Whether the address is local to this machine or link, or is a cloud's metadata service.
fn is_special(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_special_v4(ip),
        IpAddr::V6(ip) => is_special_v6(ip),
    }
}

fn is_special_v4(ip: Ipv4Addr) -> bool {
    /// Metadata services outside of the link-local block, of three clouds.
    const METADATA: [Ipv4Addr; 3] = [
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(168, 63, 129, 16),
        Ipv4Addr::new(192, 0, 0, 192),
    ];
    ip.octets()[0] == 0
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_multicast()
        || METADATA.contains(&ip)
}

fn is_special_v6(ip: Ipv6Addr) -> bool {
    const METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    let segments = ip.segments();
    // The same machines in other clothes: mapped, compatible, and translated addresses.
    let embedded = matches!(
        segments,
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _]
    );
    let [.., a, b, c, d] = ip.octets();
    ip.is_loopback()
        || ip.is_unspecified()
        || ip.is_multicast()
        || ip.is_unicast_link_local()
        || ip == METADATA
        || (embedded && is_special_v4(Ipv4Addr::new(a, b, c, d)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        for (text, authority, target) in [
            ("http://a", "a:80", "/x"),
            ("https://a.b-c/", "a.b-c:443", "/x"),
            ("http://127.0.0.1:9090/p/q/", "127.0.0.1:9090", "/p/q/x"),
            ("http://[::1]:9090/p", "[::1]:9090", "/p/x"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.authority(), authority, "{text}");
            assert_eq!(address.target("/x"), target, "{text}");
        }
        for text in [
            "ftp://a",
            "http://",
            "http://:80",
            "http://a:b",
            "http://a:80:80",
            "http://a:99999",
            "http://u@a",
            "http://[a]",
            "http://[::1]9090",
            "http://a/b?c",
            "http://a/b c",
            "http://a\r\nb",
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_leads_to_no_special_address() {
        let may_be = |host: &str, ip: &str| {
            let address = Address::parse(&format!("http://{host}")).unwrap();
            address.may_be(ip.parse().unwrap())
        };
        for special in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::169.254.169.254",
        ] {
            assert!(!may_be("metrics.example", special), "{special}");
        }
        for usual in [
            "10.0.0.1",
            "192.168.1.1",
            "8.8.8.8",
            "fd00::1",
            "2001:db8::1",
        ] {
            assert!(may_be("metrics.example", usual), "{usual}");
        }
        assert!(may_be("127.0.0.1", "127.0.0.1"));
        assert!(may_be("169.254.169.254", "169.254.169.254"));
        assert!(may_be("localhost", "127.0.0.1"));
        assert!(may_be("a.localhost", "::1"));
        assert!(!may_be("localhost", "169.254.169.254"));
        assert!(!may_be("notlocalhost", "127.0.0.1"));
    }
}
