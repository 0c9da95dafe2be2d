//! Fields that Stripe always sends and that are null in the simulator.

use serde_json::Value;

pub(super) fn with_nulls(mut object: Value, keys: &[&str]) -> Value {
    for key in keys {
        object[key] = Value::Null;
    }
    object
}
