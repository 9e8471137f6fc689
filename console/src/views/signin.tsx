import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { PREFIX, Refused, signIn } from "../api/client";
import { Problem } from "../parts/basics";
import { ForgotView } from "./links";

export function SignIn(): JSX.Element {
  const [error, setError] = useState<Refused | null>(null);
  const [isBusy, setBusy] = useState(false);
  const [hasForgotten, setForgotten] = useState(false);
  const submit = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    try {
      await signIn(String(form.get("email")), String(form.get("password")));
    } catch (refused) {
      if (!(refused instanceof Refused)) throw refused;
      setError(refused);
    } finally {
      setBusy(false);
    }
  };
  if (hasForgotten) return <ForgotView onBack={() => setForgotten(false)} />;
  return (
    <main class="signin">
      <h1>Event Trigger</h1>
      <form onSubmit={(event) => void submit(event)}>
        <label>
          E-mail
          <input name="email" type="text" inputMode="email" autocomplete="username" required autofocus />
        </label>
        <label>
          Password
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        {error !== null && <Problem error={error} />}
        <button type="submit" class="primary" disabled={isBusy}>
          {isBusy ? "Signing in…" : "Sign in"}
        </button>
      </form>
      <button type="button" class="plain" onClick={() => setForgotten(true)}>
        Forgotten password
      </button>
      <p class="quiet">
        The account is the API's own. Its pages are <a href={`${PREFIX}/api/docs`}>here</a>.
      </p>
    </main>
  );
}
