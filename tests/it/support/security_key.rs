//! A security key in software (WebAuthn, ES256), which can be made to answer wrongly.

use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Set in an answer when its owner has shown a finger or PIN.
const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const HAS_KEY: u8 = 0x40;

/// One key with one credential.
#[derive(Clone)]
pub struct SecurityKey {
    key: SigningKey,
    id: [u8; 16],
    /// Whose it is, as it was told.
    owner: String,
    pub counter: u32,
    /// The site it believes to be at.
    pub origin: String,
    /// The site that its credential is bound to.
    pub host: String,
    pub verifies_owner: bool,
}

fn encode(bytes: &[u8]) -> String {
    data_encoding::BASE64URL_NOPAD.encode(bytes)
}

impl SecurityKey {
    pub fn new(number: u8, host: &str) -> Self {
        Self {
            key: SigningKey::from_slice(&[number; 32]).unwrap(),
            id: [number; 16],
            owner: String::new(),
            counter: 0,
            origin: format!("https://{host}"),
            host: host.to_owned(),
            verifies_owner: true,
        }
    }

    /// Claims to be another key.
    pub fn take_name_of(&mut self, other: &Self) {
        (self.id, self.counter) = (other.id, other.counter);
        self.owner.clone_from(&other.owner);
    }

    /// Says another id than any that is known.
    pub fn forget_id(&mut self) {
        self.id = [99; 16];
    }

    /// What `navigator.credentials.create` gives.
    pub fn create(&mut self, options: &Value) -> String {
        let options = &options["publicKey"];
        assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
        self.owner = options["user"]["id"].as_str().unwrap().to_owned();
        let client = self.client_data("webauthn.create", options);
        let data = self.data(HAS_KEY);
        let point = self.key.verifying_key().to_sec1_point(false);
        let (x, y) = (point.x().unwrap(), point.y().unwrap());
        let mut data = [&data[..], &[0; 16], &[0, 16], &self.id].concat();
        data.extend(
            [&[0xA5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20][..], x, &[0x22, 0x58, 0x20], y].concat(),
        );
        let length = u8::try_from(data.len()).unwrap();
        let attestation = [b"\xA3\x63fmt\x64none\x67attStmt\xA0\x68authData\x58", &[length][..], &data].concat();
        self.answer(&json!({ "clientDataJSON": encode(client.as_bytes()), "attestationObject": encode(&attestation) }))
    }

    /// What `navigator.credentials.get` gives.
    pub fn get(&mut self, options: &Value) -> String {
        self.counter += 1;
        let client = self.client_data("webauthn.get", &options["publicKey"]);
        let data = self.data(0);
        let signed = [&data[..], &Sha256::digest(client.as_bytes())].concat();
        let signature: Signature = self.key.sign(&signed);
        self.answer(&json!({
            "clientDataJSON": encode(client.as_bytes()), "authenticatorData": encode(&data),
            "signature": encode(signature.to_der().as_bytes()), "userHandle": self.owner,
        }))
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        json!({ "type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false })
            .to_string()
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let verified = if self.verifies_owner { USER_VERIFIED } else { 0 };
        let flags = flags | USER_PRESENT | verified;
        [&Sha256::digest(&self.host)[..], &[flags], &self.counter.to_be_bytes()].concat()
    }

    fn answer(&self, response: &Value) -> String {
        let id = encode(&self.id);
        json!({ "id": id, "rawId": id, "type": "public-key", "extensions": {}, "response": response }).to_string()
    }
}
