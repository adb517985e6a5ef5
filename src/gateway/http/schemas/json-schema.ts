/** A JSON schema, as routes and the OpenAPI document carry it. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** An object; `required` are those of its properties that are always there. */
export function object(
  properties: Readonly<Record<string, JsonSchema>>,
  required: readonly string[] = [],
  more: JsonSchema | boolean = false,
): JsonSchema {
  return { type: 'object', properties, required, additionalProperties: more };
}

/** An array of any length. */
export function list(items: JsonSchema): JsonSchema {
  return { type: 'array', items };
}

/** A whole number from 0 on, or within bounds. */
export function integer(description?: string, bounds: JsonSchema = { minimum: 0 }): JsonSchema {
  return { type: 'integer', ...bounds, ...(description !== undefined && { description }) };
}

/** A string, of any length unless `bounds` says otherwise. */
export function text(description?: string, bounds: JsonSchema = {}): JsonSchema {
  return { type: 'string', ...bounds, ...(description !== undefined && { description }) };
}

/** One of a few strings. */
export function choice(values: readonly string[], description?: string): JsonSchema {
  return { type: 'string', enum: values, ...(description !== undefined && { description }) };
}

/** True or false. */
export function flag(description?: string): JsonSchema {
  return { type: 'boolean', ...(description !== undefined && { description }) };
}

/** A schema that was registered under a name. */
export function reference(name: string): JsonSchema {
  return { $ref: `${name}#` };
}
