//! Addresses for pods: one each, handed out in turn so that an address is not used again soon.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

/// 10.244.0.0, the first address of the pods' network (a /16).
const FIRST: u32 = u32::from_be_bytes([10, 244, 0, 0]);

/// The addresses in use.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    last: u16,
    used: HashSet<u16>,
}

impl Addresses {
    /// An address that nobody has; `wanted` if it is free (a pod keeps its address when the agent starts again).
    /// None when all are taken.
    pub(super) fn take(&self, wanted: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(host) = wanted.and_then(host) {
            inner.used.insert(host).then_some(())?;
            return wanted;
        }
        let start = inner.last;
        // The first and the last address of a network stand for all of it.
        let host = (1..=u16::MAX)
            .map(|step| start.wrapping_add(step))
            .find(|host| *host != 0 && *host != u16::MAX && !inner.used.contains(host))?;
        inner.used.insert(host);
        inner.last = host;
        Some(Ipv4Addr::from(FIRST + u32::from(host)))
    }

    /// Gives an address back.
    pub(super) fn release(&self, address: Ipv4Addr) {
        if let Some(host) = host(address) {
            self.inner.lock().unwrap_or_else(PoisonError::into_inner).used.remove(&host);
        }
    }
}

fn host(address: Ipv4Addr) -> Option<u16> {
    u16::try_from(u32::from(address).checked_sub(FIRST)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_unique_and_not_used_again_soon() {
        let addresses = Addresses::default();
        let first = addresses.take(None).unwrap();
        assert_eq!(first, Ipv4Addr::new(10, 244, 0, 1));
        addresses.release(first);
        assert_eq!(addresses.take(None).unwrap(), Ipv4Addr::new(10, 244, 0, 2));
        let kept = Ipv4Addr::new(10, 244, 0, 3);
        assert_eq!(addresses.take(Some(kept)), Some(kept));
        assert_eq!(addresses.take(Some(kept)), None, "taken already");
        assert_eq!(addresses.take(None).unwrap(), Ipv4Addr::new(10, 244, 0, 4));
    }

    #[test]
    fn when_all_are_taken_there_is_none() {
        let addresses = Addresses::default();
        let all: HashSet<_> = std::iter::from_fn(|| addresses.take(None)).collect();
        assert_eq!(all.len(), 65_534);
        addresses.release(Ipv4Addr::new(10, 244, 7, 7));
        assert_eq!(addresses.take(None), Some(Ipv4Addr::new(10, 244, 7, 7)));
    }
}
