//! Public types, as the attributes of endpoints name them. Their shapes come from `schemas` alone; here they are references.

use schemas::{
    charge, dispute, event, id, page::Page, problem, refund, timeline, webhook_endpoint,
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Ref, RefOr, Schema},
};

/// Declares one reference for each type, and their registration with the generator of their direction.
macro_rules! shapes {
    ($register:ident: $($name:ident = $type:ty;)+) => {
        $(
            #[doc = concat!("Reference to the schema of `", stringify!($type), "`.")]
            pub(crate) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    let name = <$type as schemars::JsonSchema>::schema_name();
                    Ref::from_schema_name(name.as_ref()).into()
                }
            }

            impl ToSchema for $name {
                fn name() -> std::borrow::Cow<'static, str> {
                    <$type as schemars::JsonSchema>::schema_name()
                }
            }
        )+

        /// Registers the types with a generator of schemas.
        pub(crate) fn $register(generator: &mut schemars::SchemaGenerator) {
            $( generator.subschema_for::<$type>(); )+
        }
    };
}

shapes! {
    requests:
    CreateCharge = charge::CreateCharge;
    CreateRefund = refund::CreateRefund;
    CreateWebhookEndpoint = webhook_endpoint::CreateWebhookEndpoint;
}

shapes! {
    responses:
    Charge = charge::Charge;
    ChargePage = Page<charge::Charge>;
    Timeline = timeline::Timeline;
    Refund = refund::Refund;
    RefundPage = Page<refund::Refund>;
    Dispute = dispute::Dispute;
    DisputePage = Page<dispute::Dispute>;
    Event = event::Event;
    EventPage = Page<event::Event>;
    WebhookEndpoint = webhook_endpoint::WebhookEndpoint;
    WebhookEndpointPage = Page<webhook_endpoint::WebhookEndpoint>;
    Problem = problem::Problem;
    ChargeId = id::ChargeId;
    RefundId = id::RefundId;
    DisputeId = id::DisputeId;
    EventId = id::EventId;
    EndpointId = id::EndpointId;
}
