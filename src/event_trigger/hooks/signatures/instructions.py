"""Says how to sign a call of each kind, to a sender whose call was refused."""

from collections.abc import Mapping
from types import MappingProxyType

from event_trigger.models import Verify

_IN_TIME = "and send it within 5 minutes"
INSTRUCTIONS: Mapping[Verify, str] = MappingProxyType(
    {
        Verify.STANDARD_WEBHOOKS: (
            "Sign the call with the hook's secret as Standard Webhooks says (webhook-id,"
            f" webhook-timestamp, webhook-signature), {_IN_TIME}."
        ),
        Verify.GITHUB: (
            "Send X-Hub-Signature-256: 'sha256=' and the HMAC-SHA256 of the body in hexadecimal"
            " digits, under the hook's secret."
        ),
        Verify.GITLAB: "Send the hook's secret in X-Gitlab-Token, as GitLab's secret token.",
        Verify.STRIPE: (
            "Send Stripe-Signature: 't=', the time, ',v1=' and the HMAC-SHA256 of '{time}.{body}',"
            f" under the endpoint's signing secret, {_IN_TIME}."
        ),
        Verify.SLACK: (
            "Send X-Slack-Request-Timestamp, and X-Slack-Signature: 'v0=' and the HMAC-SHA256 of"
            f" 'v0:{{timestamp}}:{{body}}', under the app's signing secret, {_IN_TIME}."
        ),
        Verify.SHOPIFY: (
            "Send X-Shopify-Hmac-SHA256: the HMAC-SHA256 of the body in base64, under the app's"
            " client secret."
        ),
        Verify.LINEAR: (
            "Send Linear-Signature: the HMAC-SHA256 of the body in hexadecimal digits, under the"
            f" webhook's signing secret, {_IN_TIME} of its webhookTimestamp."
        ),
        Verify.TWILIO: (
            "Send X-Twilio-Signature, made with the account's auth token of the hook's full URL"
            " and the form's fields; sign another body through bodySHA256 in the URL."
        ),
        Verify.DISCORD: (
            "Send X-Signature-Timestamp, and X-Signature-Ed25519: the signature of the timestamp"
            f" and the body by the application's key, {_IN_TIME}."
        ),
        Verify.SENDGRID: (
            "Send X-Twilio-Email-Event-Webhook-Timestamp and -Signature, made of the timestamp and"
            f" the body with the Event Webhook's key, {_IN_TIME}."
        ),
        Verify.HMAC: (
            "Send the HMAC that details.hook of the trigger describes, under the hook's secret;"
            " where a time is signed, within 5 minutes."
        ),
        Verify.TOKEN: (
            "Send the hook's secret as 'Authorization: Bearer …', or in the header that"
            " details.hook of the trigger names."
        ),
        Verify.BASIC: "Send the hook's user name and secret by HTTP's basic authentication.",
    }
)
# by which HTTP clients learn how to answer a 401 (RFC 9110, section 11.6.1)
CHALLENGES: Mapping[Verify, str] = MappingProxyType(
    {Verify.TOKEN: "Bearer", Verify.BASIC: 'Basic realm="hook", charset="UTF-8"'}
)
