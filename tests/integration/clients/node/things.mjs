// What every script shares: where the gateway is, and one line of JSON as its answer.

export const url = process.env.GATEWAY_URL;
export const key = process.env.GATEWAY_KEY;
export const input = JSON.parse(process.argv[2] ?? "{}");

export const city = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};

export function tell(value) {
  process.stdout.write(JSON.stringify(value) + "\n");
}

// What an error says of itself, in either vendor's class.
export function told(error) {
  return {
    name: error.constructor.name,
    status: error.status ?? null,
    code: error.code ?? null,
    type: error.error?.error?.type ?? error.type ?? null,
    message: error.message,
    request_id: error.requestID ?? error.request_id ?? null,
  };
}
