// How a receiver verifies deliveries. It is loaded with the dialog that shows it.
import { RECEIVERS } from "./receivers";

const CURL = `# sends your receiver a call as this service signs it
ID=msg_test; AT=$(date +%s); BODY='{"test": true}'
KEY=$(printf %s "\${SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \\n')
SIGNATURE=$(printf %s "$ID.$AT.$BODY" |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$KEY" -binary | base64)
curl -i http://localhost:9000/hook -H 'Content-Type: application/json' -H "webhook-id: $ID" \\
  -H "webhook-timestamp: $AT" -H "webhook-signature: v1,$SIGNATURE" -d "$BODY"
`;

export const SNIPPETS: Record<string, string> = {
  Python: RECEIVERS.py,
  Node: RECEIVERS.js,
  Go: RECEIVERS.go,
  curl: CURL,
};
