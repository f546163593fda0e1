/** Call NinjaOne for your customers, through a NinjaOne Connect deployment. */

export * from "./connect.ts";
export * from "./errors.ts";
export { type Family, pages, type PagesOptions, type Params, type Row } from "./lists.ts";
export { ninjaOne, type NinjaOneFetch, type NinjaOneOptions } from "./ninjaone.ts";
export type { Credentials, CredentialSource } from "./signing.ts";
