//! The API's own description, for tests that must cover every operation.

use reqwest::Method;
use serde_json::Value;

use super::Api;

/// One operation of the API.
#[derive(Debug, Clone)]
pub struct Operation {
    pub method: Method,
    /// Below `/api/v1`, with `{id}`.
    pub path: String,
    /// Names of its query parameters.
    pub query: Vec<String>,
    /// Whether it takes a JSON body.
    pub takes_json: bool,
}

impl Operation {
    /// `POST /alerts/{id}/stop`.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path with `{id}` replaced.
    pub fn at(&self, id: &str) -> String {
        self.path.replace("{id}", id)
    }
}

/// Every operation that the description lists, in its order.
pub async fn operations(api: &Api) -> Vec<Operation> {
    let document = reqwest::get(format!("{}/api/openapi.json", api.base())).await.unwrap();
    let document: Value = serde_json::from_str(&document.text().await.unwrap()).unwrap();
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let query = parameters.iter().filter(|parameter| parameter["in"] == "query");
            found.push(Operation {
                method: method.to_uppercase().parse().unwrap(),
                path: path.strip_prefix("/api/v1").expect("all of the API is versioned").to_owned(),
                query: query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect(),
                takes_json: operation["requestBody"]["content"]["application/json"].is_object(),
            });
        }
    }
    assert!(found.len() > 20, "the description lists the API");
    found
}
