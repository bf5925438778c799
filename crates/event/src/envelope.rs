//! Reading an event as it arrived: a malformed one is a fault of the producer, never a panic here.

use prost::Name;
use revisit_core::{
    Failure, Id,
    id::{EventId, TenantId},
};
use uuid::Uuid;

use crate::{bus::Stream, draft::kind_of};

/// One fact that a service has committed, as it travels on the bus.
pub type Envelope = revisit_proto::event::v1::Envelope;

/// An attribute of an envelope that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Name of the attribute.
    pub attribute: &'static str,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the event's {} cannot be read", self.attribute)
    }
}
impl std::error::Error for Malformed {}
impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::internal(malformed)
    }
}

/// Typed access to an envelope's attributes.
pub trait EnvelopeExt {
    /// The message, or none when the event is of another type.
    ///
    /// # Errors
    /// When the type fits and the bytes do not.
    fn read<M: Name + Default>(&self) -> Result<Option<M>, Malformed>;

    /// The event's id.
    ///
    /// # Errors
    /// When it is no UUID.
    fn id(&self) -> Result<EventId, Malformed>;

    /// Whose event it is.
    ///
    /// # Errors
    /// When it is no UUID.
    fn tenant(&self) -> Result<TenantId, Malformed>;

    /// What the event is about.
    ///
    /// # Errors
    /// When it is no UUID.
    fn subject(&self) -> Result<Uuid, Malformed>;

    /// The stream in which the event has its position.
    ///
    /// # Errors
    /// When the incarnation is no UUID.
    fn stream(&self) -> Result<Stream, Malformed>;
}

impl EnvelopeExt for Envelope {
    fn read<M: Name + Default>(&self) -> Result<Option<M>, Malformed> {
        if self.r#type != kind_of::<M>() {
            return Ok(None);
        }
        M::decode(self.data.as_slice()).map(Some).map_err(|_| Malformed { attribute: "data" })
    }

    fn id(&self) -> Result<EventId, Malformed> {
        uuid("id", &self.id).map(Id::from_uuid)
    }

    fn tenant(&self) -> Result<TenantId, Malformed> {
        uuid("tenantid", &self.tenantid).map(Id::from_uuid)
    }

    fn subject(&self) -> Result<Uuid, Malformed> {
        uuid("subject", &self.subject)
    }

    fn stream(&self) -> Result<Stream, Malformed> {
        let incarnation = uuid("incarnation", &self.incarnation)?;
        Ok(Stream { source: self.source.as_str().into(), incarnation, shard: self.shard })
    }
}

fn uuid(attribute: &'static str, text: &str) -> Result<Uuid, Malformed> {
    Uuid::try_parse(text).map_err(|_| Malformed { attribute })
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use revisit_proto::customer::v1::{OwnerChanged, SegmentLeft};

    use super::*;

    #[test]
    fn an_event_of_another_type_reads_as_none_and_damaged_data_as_malformed() {
        let left = SegmentLeft { segment_id: "s".into(), customer_id: "c".into(), crossing: 3 };
        let mut envelope =
            Envelope { r#type: kind_of::<SegmentLeft>(), data: left.encode_to_vec(), ..Envelope::default() };
        assert_eq!(envelope.read::<SegmentLeft>(), Ok(Some(left)));
        assert_eq!(envelope.read::<OwnerChanged>(), Ok(None));
        envelope.data = vec![0xff];
        assert_eq!(envelope.read::<SegmentLeft>(), Err(Malformed { attribute: "data" }));
    }

    #[test]
    fn an_empty_attribute_is_malformed() {
        let envelope = Envelope::default();
        assert!(envelope.id().is_err() && envelope.tenant().is_err() && envelope.stream().is_err());
    }
}
