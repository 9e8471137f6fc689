// Leads from a trigger's key, as sets and files know it, to the trigger.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { api } from "../api/client";
import { Shown } from "../parts/basics";
import { useQuery } from "../query";
import { useUrl } from "../url";

export function TriggerByKey({ name = "" }: { name?: string }): JSX.Element {
  const url = useUrl();
  const found = useQuery(`by-key-${name}`, async (signal) => {
    const { data } = await api.GET("/triggers/by-key/{key}", { params: { path: { key: name } }, signal });
    return (data as { id: number }).id;
  });
  useEffect(() => {
    if (found.data !== null) url.replace(`/triggers/${found.data}`);
  }, [found.data]);
  return <Shown of={found}>{() => null}</Shown>;
}
