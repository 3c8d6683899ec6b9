//! Units: placeholder until the module lands.
#![allow(dead_code, reason = "a placeholder")]

use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Senml,
    Written,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Quantity {
    pub(crate) name: &'static str,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Conversion {
    pub(crate) unit: Arc<str>,
    pub(crate) factor: f64,
    pub(crate) offset: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KnownUnit {
    pub(crate) quantity: Option<&'static Quantity>,
    pub(crate) conversion: Conversion,
    /// What readings get.
    pub(crate) unit: crate::reading::Unit,
}

#[derive(Debug, Default)]
pub(crate) struct Units;

impl Units {
    pub(crate) fn get(&mut self, text: &str, _dialect: Dialect) -> Arc<KnownUnit> {
        let conversion = Conversion { unit: Arc::from(text), factor: 1.0, offset: 0.0 };
        Arc::new(KnownUnit { quantity: None, unit: crate::reading::Unit::new(text, None), conversion })
    }
}

pub(crate) fn check(_text: &str) -> Result<(&'static Quantity, Conversion), String> {
    Err("unknown unit".to_owned())
}

pub(crate) struct Suffix<'a> {
    pub(crate) stem: &'a str,
    pub(crate) quantity: Option<&'static Quantity>,
    pub(crate) conversion: Conversion,
    pub(crate) unit_sent: Arc<str>,
}

pub(crate) fn of_name(_name: &str) -> Option<Suffix<'_>> {
    None
}

pub(crate) fn quantity_of_name(_name: &str) -> Option<&'static Quantity> {
    None
}

impl Quantity {
    pub(crate) fn is_temperature(&self) -> bool {
        self.name == "temperature"
    }
}

impl Conversion {
    pub(crate) fn apply(&self, value: &crate::reading::Value) -> Option<crate::reading::Value> {
        Some(value.clone())
    }
}

pub(crate) fn rounded(number: f64) -> f64 {
    number
}
