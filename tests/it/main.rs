//! The integration binary.

#[cfg(test)]
mod elks_gateway;
#[cfg(test)]
mod mail_relay;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod wire;
