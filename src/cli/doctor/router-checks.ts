import { lookup } from "node:dns/promises";
import { checkServerIdentity, type PeerCertificate, TLSSocket } from "node:tls";
import { toError } from "../../base/errors.ts";
import { findRoute } from "../proxy/route.ts";
import type { Doctor, Finding } from "./looking.ts";

const DIAL_MS = 10_000;
const DAY_MS = 86_400_000;
/** A certificate that ends sooner is complained of. */
const SOON_DAYS = 7;

/** Whether routers are ready. */
export async function routers(looking: Doctor): Promise<Finding[]> {
  if (looking.flags.router !== undefined) {
    return [];
  }
  const pods = await looking.routerPods();
  const ready = pods.filter(({ isReady }) => isReady);
  const [first] = pods;
  if (ready.length > 0 || first === undefined) {
    return [
      {
        state: "ok",
        what: `${ready.length} of ${pods.length} routers in namespace ${first?.namespace ?? ""} are ready`,
      },
    ];
  }
  return [
    {
      state: "bad",
      what: `none of ${pods.length} routers in namespace ${first.namespace} is ready`,
      mend: `kubectl describe pod -n ${first.namespace} ${first.name}; kubectl logs -n ${first.namespace} ${first.name} -c router`,
    },
  ];
}

/** Whether a router is reached, and what it shows. */
export async function router(looking: Doctor): Promise<Finding[]> {
  const { connection, flags, context } = looking;
  if (flags.router === undefined && !(await looking.hasRouterPods())) {
    return []; // The check before has said so.
  }
  const satellite = { namespace: connection.namespace, name: "doctor" };
  const route = await findRoute(satellite, flags, () => connection, context);
  const stream = await route.dial(AbortSignal.any([context.stop, AbortSignal.timeout(DIAL_MS)]));
  stream.on("error", () => {});
  const peer = stream instanceof TLSSocket ? stream.getPeerCertificate() : undefined;
  stream.destroy();
  const domain = await looking.routerDomain();
  const certificate = [
    ...(peer === undefined ? [] : certificateFinding(peer, context.clock.now())),
    ...(domain === undefined ? [] : await nameFindings(domain, connection.namespace, peer)),
  ];
  return [
    { state: "ok", what: `a router is reached: ${route.description}` },
    ...certificate,
    ...(route.needsToken || flags.clientCert !== undefined
      ? [{ state: "ok" as const, what: `it asks who calls: tokens for the audience ${route.audience}` }]
      : [
          {
            state: "unknown" as const,
            what: "no credential is shown to it: either it asks for none, or name one",
          },
        ]),
  ];
}

/** Whether names of satellites lead to the routers, and whether the certificate bears them. */
async function nameFindings(
  domain: string,
  namespace: string,
  peer: PeerCertificate | undefined,
): Promise<Finding[]> {
  const oneLabel = `doctor--${namespace}.${domain}`;
  const bears = (name: string): boolean =>
    peer !== undefined && checkServerIdentity(name, peer) === undefined;
  const named: Finding[] =
    peer === undefined
      ? []
      : bears(oneLabel) || bears(`doctor.${namespace}.${domain}`)
        ? [
            {
              state: "ok",
              what: `its certificate bears names of satellites: ${bears(oneLabel) ? `NAME--${namespace}.${domain}` : `NAME.${namespace}.${domain}`}`,
            },
          ]
        : [
            {
              state: "bad",
              what: `its certificate bears no names of satellites below ${domain}, so clients that verify it get no further`,
              mend: `have it issued for *.${domain}; clients dial NAME--${namespace}.${domain}`,
            },
          ];
  try {
    const { address } = await lookup(oneLabel);
    return [...named, { state: "ok", what: `${oneLabel} leads to ${address}` }];
  } catch (error) {
    return [
      ...named,
      {
        state: "unknown",
        what: `${oneLabel} leads nowhere from here: ${toError(error).message}`,
        mend: `clients that dial names need DNS: *.${domain} to the routers' Service; kubectl satellite proxy needs none`,
      },
    ];
  }
}

function certificateFinding(
  { subjectaltname = "no names", valid_to: end }: PeerCertificate,
  now: Date,
): Finding[] {
  const days = (Date.parse(end) - now.getTime()) / DAY_MS;
  const what = `its certificate bears ${subjectaltname} and ends ${end}`;
  return days > SOON_DAYS
    ? [{ state: "ok", what }]
    : [
        {
          state: "bad",
          what,
          mend: "renew the Secret of router.tls.secretName; routers read it again by themselves",
        },
      ];
}
