//! Owns what is known of a gateway that may call us: its settings and the decoder of what it sends.
//!
//! Invariant: the hooks reach a decoder only through this, so that nothing in `web` knows a provider.

use crate::config::Gateway;
use crate::provider::SmsGateway;

/// A gateway that may call us.
#[derive(Debug, Clone)]
pub struct GatewayHook {
    /// Its settings.
    pub config: Gateway,
    /// Decodes what it sends.
    pub gateway: SmsGateway,
}
