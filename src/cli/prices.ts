import { SatelliteError } from "../base/errors.ts";

/** Dollars an hour by instance type. */
export type Prices = ReadonlyMap<string, number>;

type Unknown = Readonly<Record<string, unknown>>;

/**
 * Reads prices: `{"t3.small": 0.0208}`, or an offer file of the AWS Price List Bulk API (AWS Billing docs, "Reading the
 * service price list file"), of which the on-demand prices of shared Linux machines without further software count.
 *
 * @throws SatelliteError `InvalidPrices` for anything else
 */
export function readPrices(list: unknown): Prices {
  const entries =
    isMap(list) && isMap(list["products"]) ? offers(list["products"], list["terms"]) : plain(list);
  const prices = new Map(entries.filter(([, price]) => Number.isFinite(price) && price > 0));
  if (prices.size === 0) {
    throw new SatelliteError("InvalidPrices", "it holds no price of an instance type");
  }
  return prices;
}

function isMap(value: unknown): value is Unknown {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function plain(list: unknown): [string, number][] {
  return isMap(list) ? Object.entries(list).map(([type, price]) => [type, Number(price)]) : [];
}

/** What a product has to be. */
const WANTED: Readonly<Record<string, string>> = {
  operatingSystem: "Linux",
  tenancy: "Shared",
  preInstalledSw: "NA",
  capacitystatus: "Used",
};

function offers(products: Unknown, terms: unknown): [string, number][] {
  const onDemand = isMap(terms) && isMap(terms["OnDemand"]) ? terms["OnDemand"] : {};
  return Object.entries(products).flatMap(([sku, product]): [string, number][] => {
    const attributes = isMap(product) && isMap(product["attributes"]) ? product["attributes"] : {};
    const type = attributes["instanceType"];
    const isWanted = Object.entries(WANTED).every(([name, value]) => attributes[name] === value);
    return typeof type === "string" && isWanted ? [[type, hourlyPrice(onDemand[sku])]] : [];
  });
}

function hourlyPrice(offer: unknown): number {
  for (const term of values(offer)) {
    for (const dimension of values(isMap(term) ? term["priceDimensions"] : undefined)) {
      if (isMap(dimension) && dimension["unit"] === "Hrs" && isMap(dimension["pricePerUnit"])) {
        return Number(dimension["pricePerUnit"]["USD"]);
      }
    }
  }
  return NaN;
}

function values(map: unknown): unknown[] {
  return isMap(map) ? Object.values(map) : [];
}
