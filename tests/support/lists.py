"""The lists of the emulator that both clients read: one path of each family at least."""

ROWS = 65
DEVICES, REPORT, FIELDS = "/v2/devices", "/v2/queries/software", "/v2/custom-fields"
BOARD, TICKET = "/v2/ticketing/trigger/board/1/run", "/v2/ticketing/ticket/1001/log-entry"
PATHS = [
    *("/v2/organizations", DEVICES, "/api/v2/devices", "/v2/locations", REPORT, "/v2/queries/operating-systems"),
    *("/v2/backup/jobs", "/v2/activities", FIELDS, BOARD, TICKET, "/v2/alerts", "/v2/users", "/v2/groups"),
    "/v2/policies",
]
WHOLE = list(range(1, ROWS + 1))
