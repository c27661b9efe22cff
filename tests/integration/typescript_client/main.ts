// A nurse's few minutes, through a client whose types come from the OpenAPI document alone. Prints one JSON object.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

const { GATEWAY, TOKEN, FACILITY } = process.env;
if (!GATEWAY || !TOKEN || !FACILITY) throw new Error("GATEWAY, TOKEN and FACILITY are needed");

const client = createClient<paths>({ baseUrl: GATEWAY, headers: { Authorization: `Bearer ${TOKEN}` } });

function must<T>(answer: { data?: T; error?: components["schemas"]["Problem"] }): T {
  if (answer.data === undefined) throw new Error(`${answer.error?.status} ${answer.error?.reason}`);
  return answer.data;
}

const me = must(await client.GET("/v1/me"));

const present = must(
  await client.GET("/v1/facilities/{facility_id}/beneficiaries", {
    params: { path: { facility_id: FACILITY }, query: { page_size: 5 } },
  }),
);
const person = present.beneficiaries[0];
if (!person) throw new Error("nobody is present");

const note: components["schemas"]["HandoverNoteInput"] = {
  category: "CATEGORY_NURSING",
  subject: "Sommeil",
  data: "A bien dormi.",
  priority: "HANDOVER_PRIORITY_IMPORTANT",
};
const path = { beneficiary_id: person.beneficiary_id };
const key = crypto.randomUUID();
const created = await client.POST("/v1/beneficiaries/{beneficiary_id}/handover_notes", {
  params: { path, header: { "Idempotency-Key": key } },
  body: note,
});
const first = must(created);
const again = must(
  await client.POST("/v1/beneficiaries/{beneficiary_id}/handover_notes", {
    params: { path, header: { "Idempotency-Key": key } },
    body: note,
  }),
);

const notePath = { ...path, handover_note_id: first.handover_note_id };
const blind = await client.PATCH("/v1/beneficiaries/{beneficiary_id}/handover_notes/{handover_note_id}", {
  params: { path: notePath },
  body: { data: "A mal dormi.", reason: "Erreur de personne" },
});
const corrected = must(
  await client.PATCH("/v1/beneficiaries/{beneficiary_id}/handover_notes/{handover_note_id}", {
    params: { path: notePath, header: { "If-Match": `"${first.etag}"` } },
    body: { data: "A mal dormi.", result: null, reason: "Erreur de personne" },
  }),
);

const refused = await client.POST("/v1/beneficiaries/{beneficiary_id}/handover_notes", {
  params: { path, header: { "Accept-Language": "en" } },
  body: { category: "CATEGORY_NURSING", subject: " ", data: "…" },
});

console.log(
  JSON.stringify({
    account: me.account?.account_id,
    status: created.response.status,
    once: first.handover_note_id === again.handover_note_id,
    blind: blind.error?.reason,
    corrected: corrected.data,
    version: corrected.version?.version,
    refused: refused.error?.errors.map((error) => error.field),
    detail: refused.error?.detail,
  }),
);
