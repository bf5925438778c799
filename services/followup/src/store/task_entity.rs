//! The rows of tasks and of their timers.

pub mod task {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "task")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub task_id: Uuid,
        pub version: i64,
        pub kind: String,
        pub state: String,
        pub customer_id: Option<Uuid>,
        pub plan_id: Option<Uuid>,
        pub plan_version: Option<i32>,
        pub step: Option<String>,
        pub enrolment_id: Option<Uuid>,
        pub generation: i64,
        pub occurrence: String,
        pub nominal: Option<String>,
        pub zone: String,
        pub named_id: Option<Uuid>,
        pub assignee_id: Option<Uuid>,
        pub department_id: Option<Uuid>,
        pub stage: Option<String>,
        pub grade: Option<String>,
        pub channel: Option<String>,
        pub open_at: i64,
        pub due_at: i64,
        pub agenda: String,
        pub remind_open: bool,
        pub before_minutes: String,
        pub timer_at: Option<i64>,
        pub timer_kind: Option<i16>,
        pub lent: String,
        pub lent_until: i64,
        pub lent_by_id: Option<Uuid>,
        pub title: Vec<u8>,
        pub reason: String,
        pub reason_text: Vec<u8>,
        pub parent_id: Option<Uuid>,
        pub open_issues: i32,
        pub asks_satisfaction: bool,
        pub success: Option<bool>,
        pub satisfaction: Option<i16>,
        pub done_at: Option<i64>,
        pub closed_at: Option<i64>,
        pub created_at: i64,
        pub created_by: Option<Uuid>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

pub mod timer {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "timer")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub shard: i32,
        #[sea_orm(primary_key, auto_increment = false)]
        pub fire_at: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub task_id: Uuid,
        pub kind: i16,
        pub generation: i64,
        pub tenant_id: Uuid,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// What lists and figures of tasks are decided on: a view that joins what policy looks at.
pub mod task_row {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "task_row")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        pub task_id: Uuid,
        pub kind: String,
        pub state: String,
        pub plan_id: Option<Uuid>,
        pub assignee_id: Option<Uuid>,
        pub named_id: Option<Uuid>,
        pub open_at: i64,
        pub due_at: i64,
        pub done_at: Option<i64>,
        pub success: Option<bool>,
        pub satisfaction: Option<i16>,
        pub asks_satisfaction: bool,
        pub department_id: Option<Uuid>,
        pub grade: Option<String>,
        pub customer_id: Option<Uuid>,
        pub closed_at: Option<i64>,
        pub row_owner_id: Option<Uuid>,
        pub row_department_id: Option<Uuid>,
        pub row_stage: Option<String>,
        pub row_grade: Option<String>,
        pub row_vip: bool,
        pub row_pooled: bool,
        pub row_auth_rev: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}
