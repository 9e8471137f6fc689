var e={py:`import base64
import hmac
import os
import time

from fastapi import FastAPI, HTTPException, Request

key = base64.b64decode(os.environ["SECRET"].removeprefix("whsec_"))
app = FastAPI()
seen = set()  # in a real receiver: a table with a unique key


def is_signed(headers, body):
    message_id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (at.isascii() and at.isdigit()) or abs(time.time() - int(at)) > 300:
        return False
    right = hmac.digest(key, f"{message_id}.{at}.".encode() + body, "sha256")
    wanted = b"v1," + base64.b64encode(right)
    signatures = headers.get("webhook-signature", "").encode().split(b" ")
    return any(hmac.compare_digest(one, wanted) for one in signatures)


@app.post("/hook", status_code=204)
async def hook(request: Request) -> None:
    body = await request.body()
    if not is_signed(request.headers, body):
        raise HTTPException(401)
    message_id = request.headers["webhook-id"]
    if message_id not in seen:
        seen.add(message_id)
        print(message_id, body.decode(errors="replace"), flush=True)
`,js:`const crypto = require("node:crypto");
const express = require("express");

const key = Buffer.from(process.env.SECRET.replace(/^whsec_/, ""), "base64");
const app = express();
const seen = new Set(); // in a real receiver: a table with a unique key

function isSigned(headers, body) {
  const at = headers["webhook-timestamp"] ?? "";
  if (!/^[0-9]+$/.test(at) || Math.abs(Date.now() / 1000 - Number(at)) > 300) return false;
  const signed = Buffer.concat([Buffer.from(\`\${headers["webhook-id"]}.\${at}.\`), body]);
  const wanted = Buffer.from("v1," + crypto.createHmac("sha256", key).update(signed).digest("base64"));
  return (headers["webhook-signature"] ?? "").split(" ").map((one) => Buffer.from(one)).some(
    (one) => one.length === wanted.length && crypto.timingSafeEqual(one, wanted),
  );
}

app.post("/hook", express.raw({ type: () => true, limit: "2mb" }), (request, response) => {
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0); // of none: no buffer
  if (!isSigned(request.headers, body)) return response.sendStatus(401);
  const id = request.headers["webhook-id"];
  if (!seen.has(id)) {
    seen.add(id);
    console.log(id, body.toString());
  }
  response.sendStatus(204);
});

app.listen(Number(process.env.PORT ?? 9000), "127.0.0.1");
`,go:`package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func isSigned(key []byte, header http.Header, body []byte) bool {
	at := header.Get("webhook-timestamp")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(header.Get("webhook-id") + "." + at + "."))
	mac.Write(body)
	wanted := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	for _, one := range strings.Split(header.Get("webhook-signature"), " ") {
		if hmac.Equal([]byte(one), []byte(wanted)) {
			return true
		}
	}
	return false
}

func main() {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(os.Getenv("SECRET"), "whsec_"))
	if err != nil {
		log.Fatal(err)
	}
	var seen sync.Map // in a real receiver: a table with a unique key
	http.HandleFunc("/hook", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2<<20))
		if err != nil {
			http.Error(w, "the body is too large", http.StatusRequestEntityTooLarge)
			return
		}
		if !isSigned(key, r.Header, body) {
			http.Error(w, "not signed", http.StatusUnauthorized)
			return
		}
		if _, known := seen.LoadOrStore(r.Header.Get("webhook-id"), true); !known {
			fmt.Println(r.Header.Get("webhook-id"), string(body))
		}
		w.WriteHeader(http.StatusNoContent)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
`};var t=`# sends your receiver a call as this service signs it
ID=msg_test; AT=$(date +%s); BODY='{"test": true}'
KEY=$(printf %s "\${SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \\n')
SIGNATURE=$(printf %s "$ID.$AT.$BODY" |
  openssl dgst -sha256 -mac HMAC -macopt "hexkey:$KEY" -binary | base64)
curl -i http://localhost:9000/hook -H 'Content-Type: application/json' -H "webhook-id: $ID" \\
  -H "webhook-timestamp: $AT" -H "webhook-signature: v1,$SIGNATURE" -d "$BODY"
`,r={Python:e.py,Node:e.js,Go:e.go,curl:t};export{r as SNIPPETS};
