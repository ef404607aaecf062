"""draft"""
from flint import arb
import sympy as sp
from kernalg.enclosure.balls import *
from kernalg.gaussian.trapezoid import *
from kernalg.gaussian.branches import piecewise_analytic
def test(fp,gp,q1,q2,c,digits):
    q1,q2,c=map(sp.S,(q1,q2,c))
    f=piecewise_analytic(fp); g=piecewise_analytic(gp)
    F=Factor(f,q1); G=Factor(g,q2,-1 if c<0 else 1)
    def parts():
        root=(ball(q1)*ball(q2)).sqrt(); d=root+abs(ball(c))
        return (d/(2*root)).sqrt(), (ball(q1*q2-c**2)/(2*root*d)).sqrt()
    bits=bits_for(digits)+40
    tol=arb(10)**-(digits+2)
    if q1*q2==c**2:
        nodes,err=line_rule((F,G),tol,bits)
        with precision(bits): return sum((v for _,v in nodes),arb(0))+arb(0,err), len(nodes)
    return plane(F,G,lambda:parts()[0],lambda:parts()[1],tol,bits),0
