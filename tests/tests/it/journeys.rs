//! The main paths of the product, from log-in to hand-over, through gRPC and on both databases.

mod alerts;
mod audit;
mod audit_search;
mod checkpoints;
mod company;
mod dry_run;
mod explained;
mod files;
mod follow_up;
mod lenses;
mod meanwhile;
mod merge;
mod modules;
mod own_accounts;
mod people;
mod reach;
mod recovery;
mod sale;
mod stages;
mod switched_off;
mod verbs;
mod who_could;
mod windows;
