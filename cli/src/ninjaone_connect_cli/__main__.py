"""python -m ninjaone_connect_cli"""

from ninjaone_connect_cli.app import main

main()
