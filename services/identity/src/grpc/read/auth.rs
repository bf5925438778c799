//! Reading log-ins and password changes.

use revisit_core::{Failure, Input, id::SubjectId};
use revisit_proto::identity::v1 as pb;

use crate::{
    domain::log_in::{PASSWORD_MAX, read_password},
    operations::log_in::LogIn,
};

/// Characters of a secret, of a one-time token and of a refresh token at the most.
const TOKEN_MAX: usize = 512;

/// A password as given at log-in: any that could ever have been set. It is never trimmed.
fn password(input: &mut Input, field: &str, text: String) -> String {
    input.require(!text.is_empty(), field, "is required");
    input.require(text.chars().nth(PASSWORD_MAX).is_none(), field, "is too long");
    text
}

fn token(input: &mut Input, field: &str, text: String) -> String {
    input.require(!text.is_empty(), field, "is required");
    input.require(text.len() <= TOKEN_MAX, field, "is too long");
    text
}

pub fn log_in(message: pb::LogInRequest, source: String) -> Result<LogIn, Failure> {
    let mut input = Input::default();
    let log_in = LogIn {
        tenant_key: input.text("tenant_key", &message.tenant_key, 1..=32),
        // Any text may be tried; only the stored form decides.
        username: input.text("username", &message.username, 1..=64).to_lowercase(),
        password: password(&mut input, "password", message.password),
        device: input.text("device", &message.device, 0..=100),
        source,
    };
    input.finish()?;
    Ok(log_in)
}

pub fn log_in_service_account(message: pb::LogInServiceAccountRequest) -> Result<(SubjectId, String), Failure> {
    let mut input = Input::default();
    let id = input.id("service_account_id", &message.service_account_id);
    let secret = token(&mut input, "secret", message.secret);
    input.finish()?;
    Ok((id, secret))
}

pub fn refresh(message: pb::RefreshRequest) -> Result<String, Failure> {
    let mut input = Input::default();
    let text = token(&mut input, "refresh_token", message.refresh_token);
    input.finish()?;
    Ok(text)
}

pub fn set_password(message: pb::SetPasswordRequest) -> Result<(String, String), Failure> {
    let mut input = Input::default();
    let text = token(&mut input, "password_token", message.password_token);
    let new = read_password(&mut input, "password", message.password);
    input.finish()?;
    Ok((text, new))
}

pub fn change_password(message: pb::ChangePasswordRequest) -> Result<(String, String), Failure> {
    let mut input = Input::default();
    let current = password(&mut input, "current_password", message.current_password);
    let new = read_password(&mut input, "password", message.password);
    input.finish()?;
    Ok((current, new))
}
