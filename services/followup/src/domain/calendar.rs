//! A work calendar as the tenant keeps it.

use revisit_core::id::{CalendarId, TenantId};

use crate::schedule::WorkCalendar;

/// A named calendar of a tenant.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    pub tenant: TenantId,
    pub id: CalendarId,
    pub name: String,
    pub hours: WorkCalendar,
    /// Whether plans without a calendar of their own use it; at most one of a tenant.
    pub is_default: bool,
    pub version: i64,
}
