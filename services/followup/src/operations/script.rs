//! The words that a plan proposes: chosen by the customer's tags, filled from what the caller may read and nothing else.

use revisit_bootstrap::{Principal, answer, database::Tx};
use revisit_core::id::TaskId;
use revisit_permission::{Action, Permit};
use revisit_proto::{customer::v1 as customer_pb, followup::v1 as pb};

use super::{planner, tasks::find};
use crate::{App, domain::Error};

/// What stands where a variable has no value for this reader.
const WITHHELD: &str = "—";

/// The script of a task.
pub async fn get(app: &App, who: &Principal, id: TaskId) -> Result<pb::GetScriptResponse, Error> {
    let found = find(app, who, id).await?;
    let (Some(origin), Some(known)) = (&found.task.origin, &found.customer) else {
        return Ok(pb::GetScriptResponse::default());
    };
    // The very scope that is asked again at the end says that the task is seen.
    let scope = who.scope(Action::TaskView)?;
    scope.levels(&found.task.row(Some(known))).ok_or(Error::NoSuchTask)?;
    let version = app.database.read(&scope, async |tx: &Tx| {
        planner::version(app, tx, (found.task.tenant, origin.plan, origin.version)).await.map_err(Error::from)
    });
    let version = version.await?;
    let step = version.as_ref().and_then(|version| version.definition.step(&origin.step));
    let Some(script) = step.and_then(|step| step.script(&known.tags)) else {
        return Ok(pb::GetScriptResponse::default());
    };
    // As the caller: customer decides what of the record this reader sees. Without it the words stay without values.
    let peer = app.peers.acting("customer", who);
    let mut client = customer_pb::customers_client::CustomersClient::new(peer);
    let request = customer_pb::GetCustomerRequest { customer_id: known.id.to_string(), read_mask: None };
    let customer = answer(client.get_customer(request).await).unwrap_or_default();
    // Asking took its time: the plan's words are for who sees the task still.
    scope.confirm()?;
    let (text, withheld_variables) = fill(&script.text, &customer);
    Ok(pb::GetScriptResponse { text, tags: script.tags.clone(), withheld_variables })
}

fn value(customer: &customer_pb::Customer, variable: &str) -> String {
    match variable {
        "name" => customer.name.clone(),
        "city" => customer.city.clone(),
        "stage" => customer.stage.clone(),
        "grade" => customer.grade.clone(),
        "birthday" => customer.birthday.clone(),
        "contract_end" => customer.contract_end.clone(),
        custom => {
            let field = customer.fields.iter().find(|field| field.key == custom);
            match field.and_then(|field| field.value.as_ref()) {
                Some(customer_pb::field_value::Value::Text(text) | customer_pb::field_value::Value::Number(text)) => {
                    text.clone()
                }
                Some(customer_pb::field_value::Value::Date(date)) => date.clone(),
                Some(
                    customer_pb::field_value::Value::Choices(_)
                    | customer_pb::field_value::Value::Truth(_)
                    | customer_pb::field_value::Value::Money(_)
                    | customer_pb::field_value::Value::Masked(_),
                )
                | None => String::new(),
            }
        }
    }
}

/// Fills `{{variable}}`; one without a value is named beside the text.
fn fill(text: &str, customer: &customer_pb::Customer) -> (String, Vec<String>) {
    let (mut filled, mut withheld) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let Some((variable, after)) = after.split_once("}}") else {
            filled.push_str("{{");
            rest = after;
            continue;
        };
        let variable = variable.trim();
        let value = value(customer, variable);
        if value.is_empty() {
            withheld.push(variable.to_owned());
            filled.push_str(WITHHELD);
        } else {
            filled.push_str(&value);
        }
        rest = after;
    }
    filled.push_str(rest);
    (filled, withheld)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_without_a_readable_value_stays_a_dash_and_is_named() {
        let customer = customer_pb::Customer { name: "王芳".into(), ..Default::default() };
        let (text, withheld) = fill("{{name}}，{{ phone }}，{{open", &customer);
        assert_eq!(text, "王芳，—，{{open");
        assert_eq!(withheld, ["phone"]);
    }
}
