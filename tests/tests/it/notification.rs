//! The notification service behind the real front, with a mail sink and a webhook receiver at its far end, and with the
//! other services played: what they publish and what they answer is what a test says.

mod desk;
mod entries;
mod input;
mod intake;
mod mail;
mod played;
mod protocol;
mod reading;
mod starttls;
mod webhooks;
