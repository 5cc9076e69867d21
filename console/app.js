// The console: signs in, reads the caller's identity, and shows the view of the address.

import { Component, render } from "./vendor/preact.js";
import { useEffect, useRef, useState } from "./vendor/hooks.js";
import { ApiError } from "./api.js";
import { html } from "./html.js";
import { T, chooseLanguage, currentLanguage } from "./language.js";
import { useAnswer } from "./live.js";
import { Palette } from "./palette.js";
import { Caller, ErrorNote, Link, Loading, OnDemand, Text } from "./parts.js";
import { change, currentRoute, href, useRoute } from "./router.js";
import { currentToken, finishSignIn, hasExpired, onSession, signOut, takeLink } from "./session.js";
import { SignInView } from "./sign-in.js";
import { StoppedNote } from "./stop.js";
import { TaskView } from "./view-task.js";
import { TasksView } from "./view-tasks.js";

/**
 * The caller and the derived permissions.
 * @typedef {{ me: import("./types").Identity, operates: boolean, sees: boolean, acts: boolean, scope: () => { user_id?: string }, userFor: (owner: string) => string }} Session
 */

/** @param {import("./types").Identity} me @returns {Session} */
function sessionOf(me) {
  const operates = me.roles.includes("operator");
  const sees = operates || me.roles.includes("viewer");
  return {
    me,
    operates,
    sees,
    acts: operates || !sees,
    scope: () => (sees ? {} : { user_id: me.user_id }),
    userFor: (owner) => (sees ? owner : me.user_id),
  };
}

/** The views that a caller may open: the API refuses recoveries and health to owners. @param {Session | null} session */
const sectionsOf = (session) => ["tasks", "failures", ...(session?.sees ? ["recoveries", "health"] : [])];

/** @param {{ failed: boolean }} props */
function App({ failed }) {
  const route = useRoute();
  const [token, setToken] = useState(currentToken);
  const section = route.path[0] ?? "tasks";
  chooseLanguage(route.query.get("lang"));

  useEffect(() => onSession(() => setToken(currentToken())), []);

  const place = route.path.join("/");
  const entered = useRef(place);
  useEffect(() => {
    if (entered.current === place) return;
    entered.current = place;
    window.scrollTo(0, 0);
    const heading = document.querySelector("main h1");
    if (heading instanceof HTMLElement) heading.focus({ preventScroll: true });
  }, [place]);

  return html`
    <a class="skip" href="#main" onClick=${skipTo("main")}>${T.skip}</a>
    ${token && html`<a class="skip" href="#main" onClick=${skipTo("main :is(.tasks, .map, .groups, h1)")}>${T.skipFurther}</a>`}
    ${
      token
        ? html`<${SignedIn} key=${token} route=${route} section=${section} />`
        : html`<${Header} section=${null} session=${null} />
            <main id="main" tabindex="-1"><${SignInView} expired=${hasExpired()} failed=${failed} /></main>`
    }
  `;
}

/** @param {string} selector @returns {(event: Event) => void} */
const skipTo = (selector) => (event) => {
  event.preventDefault(); // the fragment is the view's address
  const [first, ...others] = document.querySelectorAll(selector);
  const target = others.find((each) => each.tagName !== "H1") ?? first;
  if (target instanceof HTMLElement) target.focus();
};

/** @param {{ route: import("./router.js").Route, section: string }} props */
function SignedIn({ route, section }) {
  /** @type {import("./live.js").Live<import("./types").Identity>} */
  const { data, error, refresh } = useAnswer(["me"], {}, () => null);
  const session = data && sessionOf(data);
  return html`
    <${Header} section=${section} session=${session} />
    <main id="main" tabindex="-1"><${Caller.Provider} value=${session}>
      ${session?.sees && html`<${StoppedNote} operates=${session.operates} />`}
      ${
        session
          ? html`<${Boundary} key=${route.path.join("/")}><${View} route=${route} section=${section} session=${session} /><//>`
          : error
            ? html`<h1 tabindex="-1">${T.title}</h1><${ErrorNote} error=${error} at=${null} retry=${refresh} />`
            : html`<${Loading} />`
      }
    <//></main>
  `;
}

/** @param {{ route: import("./router.js").Route, section: string, session: Session }} props */
function View({ route, section, session }) {
  const id = route.path[1];
  const { query } = route;
  switch (section) {
    case "tasks":
      return id === undefined ? html`<${TasksView} query=${query} session=${session} />` : html`<${TaskView} key=${id} id=${id} query=${query} session=${session} />`;
    case "failures":
      return html`<${OnDemand} from="./view-failures.js" name="FailuresView" query=${query} session=${session} />`;
    // Loaded on demand, because owners never open them.
    case "recoveries":
      return id === undefined
        ? html`<${OnDemand} from="./view-recoveries.js" name="RecoveriesView" session=${session} />`
        : html`<${OnDemand} from="./view-recoveries.js" name="RecoveryView" key=${id} id=${id} query=${query} session=${session} />`;
    case "health":
      return html`<${OnDemand} from="./view-health.js" name="HealthView" />`;
    case "runbook":
      return html`<div class="head"><h1 tabindex="-1">${T.health.runbook}</h1></div>
        <${OnDemand} from="./view-runbook.js" name="RunbookView" anchor=${id} />`;
    default:
      return html`<p><${Link} to=${href(["tasks"])}>← ${T.task.allTasks}<//></p>
        <h1 tabindex="-1">${T.title}</h1>
        <${ErrorNote} error=${new ApiError("missing", 404)} at=${null} missing=${T.errors.noView} />`;
  }
}

/** @param {{ section: string | null, session: Session | null }} props */
function Header({ section, session }) {
  const [open, setOpen] = useState(false);
  const [role] = session?.me.roles.filter((each) => each !== "owner") ?? [];
  const other = currentLanguage() === "en" ? "zh" : "en";
  return html`
    <header>
      <${Link} to=${href(["tasks"])} class="home">${T.title}<//>
      ${
        section !== null &&
        html`<nav aria-label=${T.title}>
          ${sectionsOf(session).map(
            (each) => html`<${Link} key=${each} to=${href([each])} current=${each === section}>${/** @type {any} */ (T.sections)[each]}<//>`,
          )}
        </nav>`
      }
      <span class="spring"></span>
      ${session && html`<${Palette} key=${currentRoute().path.join("/")} session=${session} sections=${sectionsOf(session)} />`}
      <button type="button" class="quiet menu-button" aria-label=${T.menu} aria-expanded=${open} onClick=${() => setOpen(!open)}>☰</button>
      <div class="menu ${open ? "open" : ""}">
        ${session && html`<span class="who meta"><${Text} value=${session.me.user_id} class="clamp" /> ${role && role !== session.me.user_id && (T.roles[role] ?? role)}</span>`}
        <${ThemeButton} />
        <button type="button" class="quiet" lang=${other === "en" ? "en" : "zh-CN"} onClick=${() => change({ lang: other }, { replace: true })}>
          ${T.otherLanguage}
        </button>
        ${section !== null && html`<button type="button" class="quiet" onClick=${signOut}>${T.signOut}</button>`}
      </div>
    </header>
  `;
}

/** @typedef {"auto" | "light" | "dark"} Theme */
const THEMES = /** @type {Theme[]} */ (["auto", "light", "dark"]);
const SIGNS = { auto: "◐", light: "☀", dark: "☾" };

/** @returns {Theme} */
const storedTheme = () => THEMES.find((each) => each === window.localStorage.getItem("roadmap.theme")) ?? "auto";

function ThemeButton() {
  const [theme, setTheme] = useState(storedTheme);
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
    window.localStorage.setItem("roadmap.theme", theme);
  }, [theme]);
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "auto";
  return html`<button type="button" class="quiet" aria-label=${T.theme[theme]} title=${T.theme[theme]} onClick=${() => setTheme(next)}>${SIGNS[theme]} <span class="narrow-only">${T.theme[theme]}</span></button>`;
}

/** A view that fails does not affect the rest of the page. */
class Boundary extends Component {
  constructor() {
    super();
    this.state = { failed: false };
  }

  /** @param {unknown} error */
  componentDidCatch(error) {
    console.error(error);
    this.setState({ failed: true });
  }

  render() {
    const { failed } = /** @type {{ failed: boolean }} */ (this.state);
    if (!failed) return this.props.children;
    return html`<div class="note bad" role="alert">
      <p>${T.errors.unexpected}</p>
      <button type="button" onClick=${() => this.setState({ failed: false })}>${T.tryAgain}</button>
    </div>`;
  }
}

// A printed page has no folds.
window.addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("main details")) if (fold instanceof HTMLDetailsElement) fold.open = true;
});
document.documentElement.dataset.theme = storedTheme();
chooseLanguage(currentRoute().query.get("lang"));
takeLink();
window.addEventListener("hashchange", takeLink); // a link pasted into an open tab does not reload the page
finishSignIn().then((succeeded) => {
  if (!window.location.hash) window.history.replaceState(null, "", `${window.location.pathname}#/tasks`);
  const root = document.getElementById("app");
  if (root) render(html`<${App} failed=${!succeeded} />`, root);
});
