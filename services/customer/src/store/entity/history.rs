//! Orders and the timeline.

pub mod customer_order {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "customer_order")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub order_id: Uuid,
        pub customer_id: Uuid,
        pub external_id: Option<String>,
        pub amount_minor: i64,
        pub currency: String,
        pub placed_at: i64,
        pub sealed: Option<Vec<u8>>,
        pub cancelled_at: Option<i64>,
        pub recorded_by: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod timeline_entry {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "timeline_entry")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub customer_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub happened_at: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub entry_id: Uuid,
        pub kind: i16,
        pub layer: String,
        pub actor_id: Option<Uuid>,
        pub channel: Option<String>,
        pub direction: Option<i16>,
        pub sealed: Option<Vec<u8>>,
        pub from_value: Option<String>,
        pub to_value: Option<String>,
        pub reference_id: Option<Uuid>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
