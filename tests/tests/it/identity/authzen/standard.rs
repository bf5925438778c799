//! What the standard asks for at its edges: what is wrong with one evaluation of several, where discovery lies, what stays the
//! same from page to page.

use serde_json::{Value, json};

use super::{decisions, ids, on_each};

/// The error in each evaluation's context: its status, and whether its message names this.
fn errors(answer: &super::Answer, named: &[&str]) -> Vec<(Option<u64>, bool)> {
    let evaluations = answer.body["evaluations"].as_array().expect("several");
    let error = |it: &Value| it["context"]["error"].clone();
    let of = |(error, named): (Value, &&str)| {
        (error["status"].as_u64(), error["message"].as_str().unwrap_or_default().contains(named))
    };
    evaluations.iter().map(error).zip(named).map(of).collect()
}

#[tokio::test]
async fn what_is_wrong_with_one_of_several_evaluations_denies_that_one_alone() {
    on_each("", async |listener| {
        let mut misspelt = listener.customer();
        misspelt["properties"] = json!({ "ownerId": listener.mei });
        let path = "/access/v1/evaluations";
        let body = json!({ "subject": listener.user(), "action": { "name": "customer.view" },
            "resource": listener.customer(), "evaluations": [
                {}, { "resource": misspelt }, { "resource": 7 }, 7, { "subject": { "id": listener.mei } },
                { "action": { "name": ["customer.view"] } }, { "subject": null }, { "subject": { "type": "user", "id": "mei" } },
                { "action": ["customer.view"] }, [listener.user()],
            ] });
        let answer = listener.post(path, &body).await;
        assert_eq!(decisions(&answer), [true, false, false, false, false, false, true, false, false, false], "{}", answer.body);
        let named = ["", "ownerId", "resource", "evaluation", "subject", "action", "", "subject.id", "action", "evaluation"];
        let (good, bad) = ((None, true), (Some(400), true));
        assert_eq!(errors(&answer, &named), [good, bad, bad, bad, bad, bad, good, bad, bad, bad], "{}", answer.body);

        // A default without a meaning is part of those that have nothing of their own in its place.
        let body = json!({ "subject": listener.user(), "action": { "name": "customer.view" }, "resource": misspelt,
            "evaluations": [{ "resource": listener.customer() }, {}] });
        let answer = listener.post(path, &body).await;
        assert_eq!(decisions(&answer), [true, false], "{}", answer.body);
        assert_eq!(errors(&answer, &["", "ownerId"]), [(None, true), bad], "{}", answer.body);
        let alone = json!({ "subject": listener.user(), "action": { "name": "customer.view" }, "resource": misspelt });
        assert_eq!(listener.post(path, &alone).await.status, 400, "without a list it is one, and all of it is wrong");

        let long = "x".repeat(100_000);
        let body = json!({ "subject": listener.user(), "action": { "name": "customer.view" },
            "resource": { "type": "customer", "properties": { long: 1 } }, "evaluations": [{}, {}] });
        let answer = listener.post(path, &body).await;
        assert_eq!(decisions(&answer), [false, false]);
        assert!(answer.body.to_string().len() < 2_000, "what was sent is not sent back for each");

        let first = |semantic: &str| {
            json!({ "subject": listener.user(), "action": { "name": "customer.view" }, "resource": listener.customer(),
                "evaluations": [7, {}], "options": { "evaluations_semantic": semantic } })
        };
        assert_eq!(decisions(&listener.post(path, &first("deny_on_first_deny")).await), [false], "a failure denies");
        assert_eq!(decisions(&listener.post(path, &first("permit_on_first_permit")).await), [false, true]);
        for payload in [json!({ "evaluations": 7 }), json!({ "evaluations": [{}], "options": 7 }), json!(7), json!([])] {
            assert_eq!(listener.post(path, &payload).await.status, 400, "{payload} is no request for evaluations");
        }
    })
    .await;
}

#[tokio::test]
async fn discovery_lies_between_the_host_and_the_path_of_the_url() {
    let url = "https://pdp.acme.example/rights/acme";
    on_each(&format!("url = \"{url}\"\n"), async |listener| {
        let at = async |path: &str| {
            let path = format!("/.well-known/authzen-configuration{path}");
            listener.send(format!("GET {path} HTTP/1.1\r\nhost: pdp\r\nconnection: close\r\n\r\n")).await
        };
        let answer = at("/rights/acme").await;
        assert_eq!((answer.status, &answer.body["policy_decision_point"]), (200, &json!(url)));
        assert_eq!(answer.body["access_evaluation_endpoint"], json!(format!("{url}/access/v1/evaluation")));
        for path in ["", "/", "/rights", "/rights/acme/", "/rights/other"] {
            assert_eq!(at(path).await.status, 404, "{path:?} describes somebody else");
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_has_the_limit_of_the_search_that_it_belongs_to() {
    on_each("", async |listener| {
        let path = "/access/v1/search/subject";
        let page = async |page: Value| {
            let body = json!({ "subject": { "type": "user" }, "action": { "name": "customer.view" },
                "resource": listener.customer(), "page": page });
            listener.post(path, &body).await
        };
        let first = page(json!({ "limit": 1 })).await;
        let token = first.body["page"]["next_token"].as_str().expect("there are two").to_owned();
        let other = page(json!({ "token": token, "limit": 2 })).await;
        let told = other.body.as_str().unwrap_or_default().to_owned();
        assert!(other.status == 400 && told.contains("page.limit"), "{} {told}", other.status);
        let same = ids(&page(json!({ "token": token, "limit": 1 })).await, "id");
        assert_eq!(ids(&page(json!({ "token": token })).await, "id"), same, "left out it is the same");
        assert_eq!(same.len(), 1);

        let rows = async |page: Value| {
            let body = json!({ "subject": listener.user(), "action": { "name": "user.view" },
                "resource": { "type": "user" }, "page": page });
            listener.post("/access/v1/search/resource", &body).await
        };
        let first = rows(json!({ "limit": 1 })).await;
        let token = first.body["page"]["next_token"].as_str().expect("there are three").to_owned();
        assert_eq!(ids(&rows(json!({ "token": token })).await, "id").len(), 1, "the limit goes along");
        assert_eq!(rows(json!({ "token": token, "limit": 1_000 })).await.status, 400);
    })
    .await;
}
