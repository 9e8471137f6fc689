"""The expected status of every operation of openapi.json, for every kind of caller."""

# All ids in paths are of Ada's resources, and all bodies are valid; without a login, those that
# accept an invitation lack an account. The callers:
# admin    an admin's login                    bob       another user's login
# reader   a key of Ada's that only reads      limited   a key of hers for another of her triggers
# narrowed a login of hers that only fires     nobody    without a token
# lesser   an admin's login that only reads triggers
# deleted  a deleted key of hers               signedout a login of hers that has ended
# The password that erase_me is sent is wrong.
TABLE = """
operation                  ada admin bob reader limited narrowed lesser nobody deleted signedout
sign_in                    200 200   200 200    200     200      200    200    200     200
refresh_tokens             200 200   200 200    200     200      200    200    200     200
register                   201 201   201 201    201     201      201    201    201     201
sign_out                   204 204   204 403    403     204      204    401    401     401
get_me                     200 200   200 200    200     200      200    401    401     401
update_me                  200 200   200 403    403     403      403    401    401     401
change_password            204 204   204 403    403     403      403    401    401     401
list_sessions              200 200   200 403    403     200      200    401    401     401
end_session                204 404   404 403    403     404      404    401    401     401
end_other_sessions         204 204   204 403    403     204      204    401    401     401
create_key                 201 201   201 403    403     201      403    401    401     401
list_keys                  200 200   200 403    403     200      200    401    401     401
get_key                    200 404   404 403    403     404      404    401    401     401
update_key                 200 404   404 403    403     404      404    401    401     401
delete_key                 204 204   404 403    403     404      404    401    401     401
list_users                 403 200   403 403    403     403      403    401    401     401
update_user                403 200   403 403    403     403      403    401    401     401
list_audit                 403 200   403 403    403     403      403    401    401     401
create_project             201 201   201 403    403     403      403    401    401     401
list_projects              200 200   200 200    200     200      200    401    401     401
get_project                200 200   404 404    404     200      404    401    401     401
update_project             200 200   404 403    403     403      403    401    401     401
list_members               200 200   404 403    403     403      403    401    401     401
add_member                 201 201   404 403    403     403      403    401    401     401
update_member              200 200   404 403    403     403      403    401    401     401
remove_member              204 204   404 403    403     403      403    401    401     401
create_invitation          201 201   404 403    403     403      403    401    401     401
list_invitations           200 200   404 403    403     403      403    401    401     401
delete_invitation          204 204   404 403    403     403      403    401    401     401
accept_invitation          200 200   200 403    403     403      403    422    401     401
create_trigger             201 201   201 403    403     403      403    401    401     401
list_triggers              200 200   200 200    200     403      200    401    401     401
get_trigger                200 200   404 200    404     403      404    401    401     401
update_trigger             200 200   404 403    404     403      403    401    401     401
delete_trigger             204 204   404 403    404     403      403    401    401     401
pause_trigger              200 200   404 403    404     403      403    401    401     401
resume_trigger             200 200   404 403    404     403      403    401    401     401
preview_trigger            200 200   404 200    404     403      404    401    401     401
preview_schedule           200 200   200 200    200     403      200    401    401     401
fire_trigger               200 200   404 403    404     200      403    401    401     401
test_trigger               200 200   404 403    404     200      403    401    401     401
rotate_hook                200 200   404 403    404     403      403    401    401     401
call_hook                  200 200   200 200    200     200      200    200    200     200
explain_trigger            200 200   404 200    404     403      404    401    401     401
account_trigger            200 200   404 200    404     403      404    401    401     401
list_events                200 200   200 200    200     403      403    401    401     401
get_event                  200 200   404 200    404     403      403    401    401     401
stream_events              200 200   200 200    200     403      403    401    401     401
export_events              200 200   200 200    200     403      403    401    401     401
replay_event               201 201   404 403    404     403      403    401    401     401
create_destination         201 201   201 403    403     403      403    401    401     401
list_destinations          200 200   200 200    403     403      403    401    401     401
get_destination            200 200   404 200    403     403      403    401    401     401
update_destination         200 200   404 403    403     403      403    401    401     401
delete_destination         204 204   404 403    403     403      403    401    401     401
disable_destination        200 200   404 403    403     403      403    401    401     401
enable_destination         200 200   404 403    403     403      403    401    401     401
get_destination_secret     200 200   404 403    403     403      403    401    401     401
rotate_destination_secret  200 200   404 403    403     403      403    401    401     401
test_destination           200 200   404 403    403     403      403    401    401     401
redeliver_exhausted        202 202   404 403    403     403      403    401    401     401
list_deliveries            200 200   200 200    200     403      403    401    401     401
get_delivery               200 200   404 200    404     403      403    401    401     401
redeliver                  202 202   404 403    403     403      403    401    401     401
get_info                   200 200   200 200    200     200      200    401    401     401
delete_project             204 204   404 403    403     403      403    401    401     401
erase_user                 403 200   403 403    403     403      403    401    401     401
erase_me                   401 401   401 403    403     403      403    401    401     401
healthz                    200 200   200 200    200     200      200    200    200     200
readyz                     200 200   200 200    200     200      200    200    200     200
"""

_HEAD, *_ROWS = (line.split() for line in TABLE.strip().splitlines())
CALLERS = _HEAD[1:]
EXPECTED = {
    row[0]: dict(zip(CALLERS, map(int, row[1:]), strict=True)) for row in _ROWS
}  # operation id -> caller -> status
