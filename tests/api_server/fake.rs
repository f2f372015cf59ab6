//! A small API server in memory: objects with resourceVersions, status and scale subresources, JSON and merge patches with
//! their conflicts. It writes down every request, and fails those that it is told to fail.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// The server.
#[derive(Clone, Default)]
pub struct Fake {
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, Value>,
    version: u64,
    log: Vec<String>,
    faults: Vec<(String, u16)>,
}

impl Fake {
    /// A client of this server.
    pub fn client(&self) -> Client {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            async move { Ok::<_, Infallible>(fake.answer(request).await) }
        });
        Client::new(service, "default")
    }

    /// Puts an object there, as if somebody else had written it, and returns it as it is stored.
    pub fn put(&self, path: &str, object: Value) -> Value {
        let mut state = self.state.lock().unwrap();
        state.store(path, object)
    }

    /// The object as it is.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.state.lock().unwrap().objects.get(path).cloned()
    }

    /// Paths of the objects of a collection.
    pub fn paths(&self, collection: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        let inside = |path: &&String| path.strip_prefix(collection).is_some_and(|rest| rest.starts_with('/'));
        state.objects.keys().filter(inside).cloned().collect()
    }

    /// Requests since the last call, as `verb kind/name[/subresource]`.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().log)
    }

    /// From now on, requests that are written down like this are answered with this code.
    pub fn fail(&self, request: &str, code: u16) {
        self.state.lock().unwrap().faults.push((request.to_owned(), code));
    }

    /// No more failures.
    pub fn heal(&self) {
        self.state.lock().unwrap().faults.clear();
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let patch =
            parts.headers.get("content-type").and_then(|c| c.to_str().ok()).unwrap_or_default().to_owned();
        let (code, value) = self.state.lock().unwrap().handle(&parts.method, parts.uri.path(), &patch, body);
        let bytes = serde_json::to_vec(&value).unwrap();
        Response::builder().status(code).body(Body::from(bytes)).unwrap()
    }
}

fn refused(code: u16, reason: &str, message: &str) -> (StatusCode, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
        "message": message, "metadata": {}});
    (StatusCode::from_u16(code).unwrap(), status)
}

impl State {
    fn store(&mut self, path: &str, mut object: Value) -> Value {
        self.version += 1;
        let uid = match self.objects.get(path) {
            Some(old) => old["metadata"]["uid"].clone(),
            None => json!(format!("uid-{}", self.version)),
        };
        object["metadata"]["uid"] = uid;
        let old = self.objects.get(path);
        if old.is_none_or(|old| old["spec"] != object["spec"]) {
            let generation = old.and_then(|o| o["metadata"]["generation"].as_i64()).unwrap_or(0);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        object
    }

    fn handle(&mut self, method: &Method, path: &str, patch: &str, body: Value) -> (StatusCode, Value) {
        let (object, sub) = match path.strip_suffix("/status").or(path.strip_suffix("/scale")) {
            Some(object) => (object, &path[object.len() + 1..]),
            None => (path, ""),
        };
        let words: Vec<&str> = path.split('/').filter(|w| !w.is_empty()).collect();
        let at = words.iter().position(|w| *w == "namespaces").map_or(0, |i| i + 2);
        let request = format!("{} {}", method.as_str().to_lowercase(), words[at..].join("/"));
        self.log.push(request.clone());
        if let Some((_, code)) = self.faults.iter().find(|(r, _)| *r == request) {
            return refused(*code, "Injected", "the server was told to fail this");
        }
        match *method {
            Method::POST => self.create(path, body),
            Method::GET => match self.objects.get(object) {
                Some(found) => (StatusCode::OK, found.clone()),
                None => refused(404, "NotFound", "not found"),
            },
            Method::DELETE => self.delete(object, &body),
            Method::PUT | Method::PATCH => self.write(object, sub, patch, body),
            _ => refused(405, "MethodNotAllowed", "no"),
        }
    }

    fn create(&mut self, path: &str, body: Value) -> (StatusCode, Value) {
        let object = format!("{path}/{}", body["metadata"]["name"].as_str().unwrap_or_default());
        if self.objects.contains_key(&object) {
            return refused(409, "AlreadyExists", "already exists");
        }
        (StatusCode::CREATED, self.store(&object, body))
    }

    fn delete(&mut self, path: &str, body: &Value) -> (StatusCode, Value) {
        let Some(old) = self.objects.get(path) else { return refused(404, "NotFound", "not found") };
        let wanted = &body["preconditions"]["uid"];
        if !wanted.is_null() && *wanted != old["metadata"]["uid"] {
            return refused(409, "Conflict", "the UID in the precondition does not match");
        }
        self.objects.remove(path);
        (StatusCode::OK, json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "metadata": {}}))
    }

    fn write(&mut self, path: &str, sub: &str, patch: &str, body: Value) -> (StatusCode, Value) {
        let Some(old) = self.objects.get(path).cloned() else { return refused(404, "NotFound", "not found") };
        let mut new = old.clone();
        if patch.contains("json-patch") {
            let patch: json_patch::Patch = serde_json::from_value(body).unwrap();
            if let Err(error) = json_patch::patch(&mut new, &patch) {
                return refused(422, "Invalid", &format!("the json patch does not apply: {error}"));
            }
        } else if patch.contains("merge-patch") {
            json_patch::merge(&mut new, &body);
        } else {
            new = body;
        }
        for guard in ["resourceVersion", "uid"] {
            let wanted = &new["metadata"][guard];
            if !wanted.is_null() && *wanted != old["metadata"][guard] {
                return refused(409, "Conflict", "the object has been modified");
            }
        }
        // Who writes becomes an owner, unless the write itself says who owns what.
        if sub.is_empty()
            && new != old
            && new["metadata"]["managedFields"] == old["metadata"]["managedFields"]
            && let Some(owners) = new["metadata"]["managedFields"].as_array_mut()
            && !owners.iter().any(|o| o["manager"] == "understudy")
        {
            let mut ours = owners[0].clone();
            ours["manager"] = json!("understudy");
            ours["operation"] = json!("Update");
            owners.push(ours);
        }
        match sub {
            "status" => {
                let status = new["status"].take();
                new = old.clone();
                new["status"] = status;
            }
            _ => new["status"] = old["status"].clone(),
        }
        if new["status"].is_null() {
            new.as_object_mut().unwrap().remove("status");
        }
        let new = if new == old { old } else { self.store(path, new) };
        if sub == "scale" {
            let scale = json!({"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": new["metadata"],
                "spec": {"replicas": new["spec"]["replicas"]}, "status": {"replicas": 0}});
            return (StatusCode::OK, scale);
        }
        (StatusCode::OK, new)
    }
}
