"""The expected status of every operation of openapi.json, for every kind of caller.

All ids in paths are of the team's resources, and all bodies are valid. A new operation gets a row
in OPERATIONS; if no kind in KINDS fits, a kind of its own. The password for erase_me is wrong.
"""

# column -> its callers, of whom the same is expected. `@` is followed by what X-Project-ID names:
# the team, Bob's own project (`his`), nobody's, all (`*`). Without it, Ada and her credentials are
# in the team, which is her default, and all others in projects of their own.
CALLERS_OF = {
    "owner": ("ada", "coowner@team"),
    "editor": ("editor@team",),
    "operator": ("operator@team",),
    "viewer": ("viewer@team",),
    "home": ("viewer",),  # a member, in a project of their own
    "outside": ("former", "bob", "bob@his"),
    "foreign": ("former@team", "bob@team"),
    "misled": ("viewer@his", "viewer@nobodys", "viewer@*"),
    "admin": ("admin",),
    "ruling": ("admin@team",),
    "overseer": ("admin@*",),
    "key": ("key", "key@team"),  # of Ada's, with all scopes
    "hiskey": ("hiskey", "hiskey@his"),  # of Bob's, with all scopes
    "astray": ("key@his", "key@nobodys", "key@*"),
    "reader": ("reader",),  # a key of Ada's that only reads
    "limited": ("limited", "limited@team"),  # a key of hers for another trigger of the team
    "narrowed": ("narrowed", "narrowed@team"),  # a login of hers that only fires
    "lesser": ("lesser",),  # an admin's login that only reads triggers
    "nobody": ("nobody", "nobody@team"),
    # a deleted key, a login that was signed out, the team's key of a former member
    "ended": ("deleted", "signedout", "signedout@team", "formerkey"),
}

# kind of operation -> what each group gets; the columns are those of CALLERS_OF, cut to three
# letters, and `ok` is the operation's own status
KINDS = """
kind                own edi ope vie hom out for mis adm rul ove key his ast rea lim nar les nob end
public               ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok
self                 ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok 401 401
login                ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok 403 403 403 403 403  ok  ok 401 401
admins              403 403 403 403 403 403 403 403  ok  ok  ok 403 403 403 403 403 403 403 401 401
someones           404 404 404 404 404 404 404 404 404 404 404 403 403 403 403 403 404 404 401 401
project:new         ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok 403 403 403 403 403 403 403 401 401
project:get         ok  ok  ok  ok  ok 404 404  ok  ok  ok  ok  ok 404  ok  ok  ok  ok 404 401 401
project:members     ok  ok  ok  ok  ok 404 404  ok  ok  ok  ok 403 403 403 403 403 403 403 401 401
project:own         ok 403 403 403 403 404 404 403  ok  ok  ok 403 403 403 403 403 403 403 401 401
project:join        ok  ok  ok  ok  ok  ok  ok  ok  ok  ok  ok 403 403 403 403 403 403 403 422 401
person:get          ok  ok  ok  ok  ok  ok 404 404  ok  ok  ok  ok  ok 404  ok  ok  ok  ok 401 401
person:change        ok  ok  ok  ok  ok  ok 404 404  ok  ok 422 403 403 404 403 403 403 403 401 401
audit                ok 403 403 403  ok  ok 404 404  ok  ok  ok 403 403 404 403 403 403 403 401 401
keys:make            ok  ok  ok 403  ok  ok 404 404  ok 409 422 403 403 404 403 403  ok 403 401 401
keys:list            ok  ok  ok  ok  ok  ok 404 404  ok  ok  ok 403 403 404 403 403  ok  ok 401 401
keys:one             ok 404 404 404 404 404 404 404 404  ok  ok 403 403 404 403 403 404 404 401 401
keys:change          ok 404 404 404 404 404 404 404 404  ok 422 403 403 404 403 403 404 404 401 401
create               ok  ok 403 403  ok  ok 404 404  ok  ok 422  ok  ok 404 403 403 403 403 401 401
triggers:list        ok  ok  ok  ok  ok  ok 404 404  ok  ok  ok  ok  ok 404  ok  ok 403  ok 401 401
triggers:preview     ok  ok  ok  ok  ok  ok 404 404  ok  ok 422  ok  ok 404  ok  ok 403  ok 401 401
triggers:get         ok  ok  ok  ok 404 404 404 404 404  ok  ok  ok 404 404  ok 404 403 404 401 401
triggers:by_key      ok  ok  ok  ok 404 404 404 404 404  ok 422  ok 404 404  ok 404 403 404 401 401
triggers:write       ok  ok 403 403 404 404 404 404 404  ok 422  ok 404 404 403 404 403 403 401 401
triggers:fire        ok  ok  ok 403 404 404 404 404 404  ok 422  ok 404 404 403 404  ok 403 401 401
triggers:many        ok  ok  ok 403  ok  ok 404 404  ok  ok 422  ok  ok 404 403  ok  ok 403 401 401
calendars:list       ok  ok  ok  ok  ok  ok 404 404  ok  ok  ok  ok  ok 404  ok 403 403  ok 401 401
calendars:by_key     ok  ok  ok  ok 404 404 404 404 404  ok 422  ok 404 404  ok 403 403 404 401 401
events:list          ok  ok  ok  ok  ok  ok 404 404  ok  ok  ok  ok  ok 404  ok  ok 403 403 401 401
events:preview       ok  ok  ok  ok  ok  ok 404 404  ok  ok 422  ok  ok 404  ok  ok 403 403 401 401
events:get           ok  ok  ok  ok 404 404 404 404 404  ok  ok  ok 404 404  ok 404 403 403 401 401
events:repeat        ok  ok  ok 403 404 404 404 404 404  ok 422  ok 404 404 403 404 403 403 401 401
deliveries:many      ok  ok  ok 403  ok  ok 404 404  ok  ok 422  ok  ok 404 403 403 403 403 401 401
destinations:list    ok  ok  ok  ok  ok  ok 404 404  ok  ok  ok  ok  ok 404  ok 403 403 403 401 401
destinations:preview ok  ok  ok  ok  ok  ok 404 404  ok  ok 422  ok  ok 404  ok 403 403 403 401 401
destinations:get     ok  ok  ok  ok 404 404 404 404 404  ok  ok  ok 404 404  ok 403 403 403 401 401
destinations:by_key  ok  ok  ok  ok 404 404 404 404 404  ok 422  ok 404 404  ok 403 403 403 401 401
destinations:secret  ok  ok 403 403 404 404 404 404 404  ok  ok  ok 404 404 403 403 403 403 401 401
destinations:write   ok  ok 403 403 404 404 404 404 404  ok 422  ok 404 404 403 403 403 403 401 401
sets:get             ok  ok  ok  ok 404 404 404 404 404  ok 422  ok 404 404  ok 403 403 403 401 401
destinations:resend  ok  ok  ok 403 404 404 404 404 404  ok 422  ok 404 404 403 403 403 403 401 401
"""

# where X-Project-ID has no effect
KINDS_OUTSIDE_PROJECTS = {
    *("public", "self", "login", "someones", "admins"),
    *("project:new", "project:get", "project:members", "project:own", "project:join"),
}

# operation, caller, status where something belongs to one caller only, or only `*` is refused
EXCEPTIONS = """
end_session ada 204
list_projects viewer@* 404
list_projects key@* 404
"""

OPERATIONS = """
operation                  kind                ok
sign_in                    public              200
refresh_tokens             public              200
register                   public              201
forgot_password            public              202
reset_password             public              204
sign_out                   login               204
start_session              public              204
end_browser_session        login               204
get_me                     person:get          200
update_me                  person:change       200
change_password            project:new         204
list_sessions              login               200
end_session                someones            204
end_other_sessions         login               204
create_key                 keys:make           201
list_keys                  keys:list           200
get_key                    keys:one            200
update_key                 keys:change         200
delete_key                 keys:change         204
list_users                 admins              200
add_user                   admins              201
create_password_link       admins              201
update_user                admins              200
erase_user                 admins              200
erase_me                   person:change       422
list_audit                 audit               200
create_project             project:new         201
list_projects              self                200
get_project                project:get         200
update_project             project:own         200
delete_project             project:own         204
list_members               project:members     200
add_member                 project:own         201
update_member              project:own         200
remove_member              project:own         204
create_invitation          project:own         201
list_invitations           project:own         200
delete_invitation          project:own         204
accept_invitation          project:join        200
create_trigger             create              201
list_triggers              triggers:list       200
get_trigger                triggers:get        200
replace_trigger            triggers:write      200
update_trigger             triggers:write      200
get_trigger_by_key         triggers:by_key     200
put_trigger_by_key         create              201
delete_trigger_by_key      triggers:write      204
pause_trigger_by_key       triggers:fire       200
resume_trigger_by_key      triggers:fire       200
fire_trigger_by_key        triggers:fire       200
test_trigger_by_key        triggers:fire       200
delete_trigger             triggers:write      204
pause_trigger              triggers:fire       200
resume_trigger             triggers:fire       200
preview_trigger            triggers:get        200
list_versions              triggers:get        200
list_upcoming              triggers:preview    200
list_recent                events:preview      200
preview_schedule           triggers:preview    200
fire_trigger               triggers:fire       200
test_trigger               triggers:fire       200
fire_trigger_batch         triggers:many       200
act_on_triggers            triggers:many       200
rotate_hook                triggers:write      200
list_refusals              triggers:get        200
call_hook                  public              200
call_hook_by_get           public              200
call_hook_by_put           public              200
ping_hook                  public              200
ping_hook_by_get           public              200
explain_trigger            triggers:get        200
account_trigger            triggers:get        200
create_calendar            create              201
list_calendars             calendars:list      200
get_calendar               calendars:by_key    200
list_calendar_triggers     calendars:by_key    200
put_calendar               create              201
delete_calendar            destinations:write  204
list_holiday_countries     calendars:list      200
get_holidays               calendars:list      200
get_holidays_of_region     calendars:list      200
list_events                events:list         200
count_events               events:list         200
get_event                  events:get          200
stream_events              events:list         200
export_events              events:list         200
replay_event               events:repeat       201
create_destination         create              201
list_destinations          destinations:list   200
get_destination            destinations:get    200
replace_destination        destinations:write  200
update_destination         destinations:write  200
get_destination_by_key     destinations:by_key 200
put_destination_by_key     create              201
delete_destination_by_key  destinations:write  204
disable_destination_by_key destinations:write  200
enable_destination_by_key  destinations:write  200
get_destination_secret_by_key destinations:write 200
rotate_destination_secret_by_key destinations:write 200
test_destination_by_key    destinations:write  200
delete_destination         destinations:write  204
disable_destination        destinations:write  200
enable_destination         destinations:write  200
get_destination_secret     destinations:secret 200
rotate_destination_secret  destinations:write  200
render_destination         destinations:preview 200
test_destination           destinations:write  200
redeliver_exhausted        destinations:resend 202
put_set                    create              200
list_sets                  destinations:list   200
get_set                    sets:get            200
delete_set                 destinations:write  204
list_deliveries            events:list         200
get_delivery               events:get          200
redeliver                  destinations:resend 202
cancel_delivery            destinations:resend 409
act_on_deliveries          deliveries:many     200
list_notices               destinations:list   200
get_overview               destinations:list   200
get_stats                  destinations:list   200
get_info                   self                200
get_metrics                admins              200
healthz                    public              200
readyz                     public              200
"""


def _rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.strip().splitlines()]


def _statuses() -> dict[str, dict[str, int]]:
    (_, *columns), *rows = _rows(KINDS)
    assert columns == [one[:3] for one in CALLERS_OF], "a column for each group of callers"
    kinds = {kind: dict(zip(CALLERS_OF, values, strict=True)) for kind, *values in rows}
    expected: dict[str, dict[str, int]] = {}
    for operation, kind, ok in _rows(OPERATIONS)[1:]:
        assert operation not in expected, operation
        expected[operation] = {
            caller: int(kinds[kind][column].replace("ok", ok))
            for column, callers in CALLERS_OF.items()
            for caller in callers
        }
    for operation, caller, status in _rows(EXCEPTIONS):
        expected[operation][caller] = int(status)
    return expected


CALLERS = [caller for callers in CALLERS_OF.values() for caller in callers]
EXPECTED = _statuses()  # operation id -> caller -> status
OUTSIDE_PROJECTS = {
    operation for operation, kind, _ in _rows(OPERATIONS) if kind in KINDS_OUTSIDE_PROJECTS
}
