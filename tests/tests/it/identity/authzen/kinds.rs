//! A subject is what the request says it is, or nobody.

use revisit_proto::identity::v1 as pb;
use serde_json::{Value, json};

use super::{decisions, on_each};

#[tokio::test]
async fn a_person_named_as_a_program_and_the_reverse_are_nobody() {
    on_each("", async |listener| {
        let world = &listener.world;
        let request = pb::CreateServiceAccountRequest {
            display_name: "Warehouse".to_owned(),
            department_id: listener.store.clone(),
            role_ids: vec![world.role("marketing").await],
            ..pb::CreateServiceAccountRequest::default()
        };
        let made = world.admin.directory().create_service_account(request).await.expect("it is made").into_inner();
        let program = made.service_account.unwrap_or_default().service_account_id;
        let subject = |kind: &str, id: &str| json!({ "type": kind, "id": id });
        let of = |subject: Value| {
            json!({ "subject": subject, "action": { "name": "customer.view" }, "resource": listener.customer() })
        };
        for (id, is, other) in [(&listener.mei, "user", "service_account"), (&program, "service_account", "user")] {
            let right = listener.post("/access/v1/evaluation", &of(subject(is, id))).await;
            assert_eq!(right.body["decision"], json!(true), "{}", right.body);
            let wrong = listener.post("/access/v1/evaluation", &of(subject(other, id))).await;
            assert_eq!(wrong.body["decision"], json!(false), "{}", wrong.body);
            assert_eq!(wrong.body["context"]["reason"], json!("subject"));
            let both = json!({ "evaluations": [of(subject(is, id)), of(subject(other, id))] });
            assert_eq!(decisions(&listener.post("/access/v1/evaluations", &both).await), [true, false]);
            for (path, wanted) in [("action", listener.customer()), ("resource", json!({ "type": "department" }))] {
                let search = |kind: &str| {
                    json!({ "subject": subject(kind, id), "action": { "name": "department.view" }, "resource": wanted })
                };
                let path = format!("/access/v1/search/{path}");
                let found = |answer: super::Answer| answer.body["results"].as_array().map(Vec::len);
                assert!(found(listener.post(&path, &search(is)).await) > Some(0), "{path}");
                assert_eq!(found(listener.post(&path, &search(other)).await), Some(0), "{path}");
            }
        }
    })
    .await;
}
