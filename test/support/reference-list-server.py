"""The reference server of endpoint lists, as clients in the field meet it (FastAPI): the same routes, reader and answers."""

import os
from pathlib import Path

from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.responses import JSONResponse

health = APIRouter()
config = APIRouter()


@health.get("/health")
async def health_check():
    return JSONResponse(status_code=200, content={"status": "healthy", "service": "reference", "version": "1.0.0"})


def parse_endpoint_file(path):
    if not Path(path).exists():
        return {"domains": [], "ips": []}
    found = {"domains": [], "ips": []}
    section = None
    try:
        with open(path, "r", encoding="utf-8") as lines:
            for line in lines:
                line = line.strip()
                if not line or line.startswith("#"):
                    continue
                if line.lower().startswith("domainlist:"):
                    section = "domains"
                elif line.lower().startswith("iplist:"):
                    section = "ips"
                elif section is not None:
                    found[section] += [item.strip() for item in line.split(",") if item.strip()]
    except Exception as error:
        raise HTTPException(status_code=500, detail=str(error))
    return found


def convert_to_endpoints(hosts, protocol, api_path, socket_path, default_port):
    api, sockets = [], []
    for priority, host in enumerate(hosts):
        port = f":{default_port}" if default_port else ""
        api.append({"url": f"{protocol}://{host}{port}{api_path}", "priority": priority})
        tail = socket_path if socket_path else port
        sockets.append({"url": f"{protocol}://{host}{tail}", "priority": priority})
    return {"api_endpoints": api, "socketio_endpoints": sockets}


@config.get("/config/endpoints")
async def get_endpoints():
    port = os.getenv("ENDPOINT_DEFAULT_PORT")
    if port:
        try:
            port = int(port)
        except ValueError:
            port = None
    parsed = parse_endpoint_file(os.getenv("ENDPOINT_CONFIG_FILE", "config/endpoints.txt"))
    return convert_to_endpoints(
        parsed["domains"] + parsed["ips"],
        os.getenv("ENDPOINT_PROTOCOL", "https"),
        os.getenv("ENDPOINT_API_PATH", "/api/v1"),
        os.getenv("ENDPOINT_SOCKET_PATH", ""),
        port,
    )


app = FastAPI()
app.include_router(health)
app.include_router(config, prefix="/api/v1")
