//! The generated code of `proto/`, and nothing else.

/// `revisit.event.v1`
pub mod event {
    pub mod v1 {
        tonic::include_proto!("revisit.event.v1");
    }
}
/// `revisit.identity.v1`
pub mod identity {
    pub mod v1 {
        tonic::include_proto!("revisit.identity.v1");
    }
}
/// `revisit.customer.v1`
pub mod customer {
    pub mod v1 {
        tonic::include_proto!("revisit.customer.v1");
    }
}
/// `revisit.followup.v1`
pub mod followup {
    pub mod v1 {
        tonic::include_proto!("revisit.followup.v1");
    }
}
/// `revisit.notification.v1`
pub mod notification {
    pub mod v1 {
        tonic::include_proto!("revisit.notification.v1");
    }
}

/// Every file of `proto/` and what it imports, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("descriptors");
