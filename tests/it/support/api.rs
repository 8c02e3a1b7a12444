//! A client of the API that keeps the whole answer.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

/// The longest that any answer or event may take, however busy the machine is: a story that waits for ever holds up all others.
const PATIENCE: Duration = Duration::from_secs(120);

/// A client with a key.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    base: String,
    key: String,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Api {
    pub fn new(base: String, key: String) -> Self {
        let client = Client::builder().no_proxy().build().unwrap();
        Self { client, base, key }
    }

    pub fn move_to(&mut self, base: String) {
        self.base = base;
    }

    /// The same API with another key.
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// The key it calls with.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Where the app answers.
    pub fn base(&self) -> &str {
        &self.base
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None, &[]).await
    }

    /// As [`Api::get`]; `None` when no answer comes, as from a daemon that was killed.
    pub async fn try_get(&self, path: &str) -> Option<Answer> {
        self.try_call(Method::GET, path, None, &[]).await
    }

    /// As [`Api::call`]; `None` when no answer comes.
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Option<Answer> {
        let mut request = self.client.request(method, format!("{}/api/v1{path}", self.base)).bearer_auth(&self.key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.timeout(Duration::from_secs(10)).send().await.ok()?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.ok()?;
        Some(Answer { status, headers, json: serde_json::from_str(&text).unwrap_or(Value::Null), text })
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, Some(body), &[]).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PATCH, path, Some(body), &[]).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, None, &[]).await
    }

    /// Any call below `/api/v1`, with further headers.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.request(method, format!("{}/api/v1{path}", self.base)).bearer_auth(&self.key);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        Self::answer(request).await
    }

    /// Any call with a body that need not be JSON.
    pub async fn send_bytes(&self, method: Method, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        let request = self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key);
        Self::answer(request.header("content-type", kind).body(body)).await
    }

    /// Any page beside the API, without a key.
    pub async fn page(&self, path: &str) -> Answer {
        Self::answer(self.client.get(format!("{}{path}", self.base))).await
    }

    /// The stream of what changes.
    pub async fn events(&self) -> Events {
        Events::of(self.client.get(format!("{}/api/v1/events", self.base)).bearer_auth(&self.key)).await
    }

    async fn answer(request: RequestBuilder) -> Answer {
        let response = request.timeout(PATIENCE).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        Answer { status, headers, json: serde_json::from_str(&text).unwrap_or(Value::Null), text }
    }
}

impl Answer {
    /// Whether a 422 names this field.
    pub fn names_field(&self, name: &str) -> bool {
        self.status == StatusCode::UNPROCESSABLE_ENTITY
            && self.json["fields"].as_array().is_some_and(|fields| fields.iter().any(|field| field["name"] == name))
    }
}

/// A stream of what changes, and all that it has told.
#[derive(Debug)]
pub struct Events {
    stream: Response,
    heard: String,
}

impl Events {
    /// What is asked for so.
    pub async fn of(request: RequestBuilder) -> Self {
        let stream = request.send().await.unwrap();
        assert_eq!(stream.status(), 200);
        Self { stream, heard: String::new() }
    }

    /// Listens until all of `wanted` were told; gives everything that was.
    pub async fn until_told(&mut self, wanted: &[&str]) -> &str {
        let heard = &mut self.heard;
        let listening = async {
            while !wanted.iter().all(|words| heard.contains(words)) {
                let chunk = self.stream.chunk().await.unwrap().expect("the stream goes on");
                heard.push_str(std::str::from_utf8(&chunk).unwrap());
            }
        };
        let told = tokio::time::timeout(PATIENCE, listening).await;
        assert!(told.is_ok(), "{wanted:?} was never told:\n{}", self.heard);
        &self.heard
    }
}
