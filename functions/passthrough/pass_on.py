"""ANY /v1/{proxy+} - pass a request that no other function serves on to the Codegen API. Other paths are not found."""

from codegen_runs.http.edge import answering
from codegen_runs.http.passing_on import pass_on

handler = answering(pass_on)
