import { type ConditionType, findCondition } from "../../satellite/conditions.ts";
import { SATELLITE_CLASSES, SATELLITES } from "../../satellite/resource.ts";
import type { Satellite, SatelliteClass } from "../../satellite/types.ts";
import type { Doctor, Finding } from "./looking.ts";
import { counted } from "../style.ts";

/** Whether each class is Ready: what it resolved to, and whether EC2 would carry out what the operator asks of it. */
export async function classes({ connection }: Doctor): Promise<Finding[]> {
  const { items } = await connection.client.list<SatelliteClass>(SATELLITE_CLASSES);
  if (items.length === 0) {
    return [
      {
        state: "bad",
        what: "there is no SatelliteClass, so no satellite gets a machine",
        mend: "apply one: examples/aws/class.yaml",
      },
    ];
  }
  return items.map(({ metadata: { name }, status }): Finding => {
    const ready = findCondition(status?.conditions, "Ready");
    if (ready?.status === "True") {
      return { state: "ok", what: `class ${name} is Ready: ${resolved(status)}` };
    }
    return {
      state: "bad",
      what: `class ${name} is not Ready: ${ready === undefined ? "the operator has not looked at it" : `${ready.reason}: ${ready.message}`}`,
      mend:
        ready === undefined
          ? "see that the operator runs and leads (below)"
          : `kubectl edit satelliteclass ${name}, or the rights of the operator's role: docs/ec2.md`,
    };
  });
}

/** The operator's dry runs are part of Ready (decision 66). */
function resolved({ resolved: facts }: SatelliteClass["status"]): string {
  const { images = {}, subnets = [], securityGroups = [] } = facts ?? {};
  return [
    ...Object.entries(images).map(([architecture, image]) => `${image} (${architecture})`),
    counted(subnets.length, "subnet"),
    counted(securityGroups.length, "security group"),
    "EC2 refused none of the operator's dry runs",
  ].join(", ");
}

/** What the satellites of the namespace say of their machines: memory that is not kept, images that are old, trouble. */
export async function satellites({ connection }: Doctor): Promise<Finding[]> {
  const { namespace } = connection;
  const { items } = await connection.client.list<Satellite>(SATELLITES, { namespace });
  if (items.length === 0) {
    return [{ state: "ok", what: `namespace ${namespace} has no satellite` }];
  }
  const findings = items.flatMap(({ metadata: { name }, status: { conditions } }): Finding[] => {
    const see = `kubectl satellite inspect ${name} -n ${namespace}`;
    const said = (type: ConditionType): string => {
      const condition = findCondition(conditions, type);
      return `${condition?.reason ?? ""}: ${condition?.message ?? ""}`;
    };
    const is = (type: ConditionType, status: string): boolean =>
      findCondition(conditions, type)?.status === status;
    return [
      ...(is("Stalled", "True")
        ? [{ state: "bad" as const, what: `satellite ${name} is stuck: ${said("Stalled")}`, mend: see }]
        : []),
      ...(is("Hibernatable", "False")
        ? [
            {
              state: "unknown" as const,
              what: `satellite ${name} keeps no memory: ${said("Hibernatable")}`,
              mend: see,
            },
          ]
        : []),
      ...(is("Updated", "False")
        ? [
            {
              state: "unknown" as const,
              what: `satellite ${name} is not as its class says: ${said("Updated")}`,
              mend: see,
            },
          ]
        : []),
    ];
  });
  return findings.length > 0
    ? findings
    : [
        {
          state: "ok",
          what: `none of ${counted(items.length, "satellite")} in namespace ${namespace} complains of its machine`,
        },
      ];
}
